"""Look at a tile from several sides, mirrored, and average what a nuclei network says.

Tissue has no left and no right, a trained network has: what it says of a mirrored picture differs a little, and its
errors with it. The mean of 2 or 4 views is nearer to the truth than one, and costs as many times the computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.nuclei_channels import OFFSETS

_Y, _X = -2, -1
MIRRORED: Mapping[int, tuple[tuple[int, ...], ...]] = {
    1: ((),),
    2: ((), (_X,)),
    4: ((), (_X,), (_Y,), (_Y, _X)),
}
"""By the number of views: the axes of an image (..., y, x) that each is mirrored along."""


def average_views(
    look: Callable[[Tensor], NDArray[np.float32]], image: Tensor, views: int, channels: Sequence[str]
) -> NDArray[np.float32]:
    """Return the mean over views of `look(image)`, mirrored back.

    Parameters
    ----------
    look
        Maps (n, c, y, x) to (n, y, x, k).
    image
        (n, c, y, x); sides that are multiples of the network's stride keep views of a tile those of the slide.
    views
        1, 2 or 4.
    channels
        Names of the k channels. An offset points the other way in a mirrored view.
    """
    total: NDArray[np.float32] | None = None
    for axes in MIRRORED[views]:
        seen = look(image.flip(axes) if axes else image)
        if axes:
            seen = np.flip(seen, tuple(axis - 1 for axis in axes))  # channels come last there
            seen = seen * _signs(channels, axes)
        total = seen if total is None else total + seen
    assert total is not None  # there is always one view
    return total if views == 1 else total / np.float32(views)


def _signs(channels: Sequence[str], axes: Sequence[int]) -> NDArray[np.float32]:
    """1 a channel, but -1 for the offset along an axis that is mirrored."""
    turned = {name for name, axis in zip(OFFSETS, (_Y, _X), strict=True) if axis in axes}
    return np.array([-1 if name in turned else 1 for name in channels], np.float32)
