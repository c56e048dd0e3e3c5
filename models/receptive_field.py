"""How far a network looks: the radius that a tile's halo must cover.

Measured, not derived: one input px is not-a-number, and what it spoils downstream is what depends on it. Nothing
cancels and nothing underflows, as it does with small impulses and gradients, so the result is the structural field,
whatever the weights; max pooling and ReLU pass NaN on. Convolutions are replaced by pooling over what they look at:
fast kernels mix neighbouring outputs and would spoil too many, exact ones take minutes and, at 16 times the resolution,
more memory than there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LARGEST_RADIUS_PX = 2048
_AT_ONCE_PX = 2**19
"""Output px that are worked on at once."""


def receptive_radius_px(network: nn.Module, *, scale: int = 1, stride_px: int = 1) -> int:
    """Return the input px on each side of an output px's own place that can change it.

    `network` maps (n, 3, y, x) to (n, c, scale y, scale x); output px q lies in input px q // scale. All positions on
    the stride's grid and all output phases are tried.

    Raises
    ------
    ValueError
        if the field is larger than 2,048 px, as it is behind global pooling, attention or normalisation.
    """
    network = deepcopy(network).float().eval()
    return max(_radius_along(network, scale, stride_px, axis) for axis in (2, 3))


def _radius_along(network: nn.Module, scale: int, stride_px: int, axis: int) -> int:
    """Spoil one px at each position of the stride's grid, along y (axis 2) or x (axis 3) of a thin image."""
    reach = 32
    while reach <= LARGEST_RADIUS_PX:
        reach = -(-reach // stride_px) * stride_px
        positions = torch.arange(reach, reach + stride_px)
        shape = [stride_px, 3, stride_px, stride_px]
        shape[axis] = 2 * reach + stride_px
        image = torch.full(shape, 0.5)
        image.movedim(axis, 1)[torch.arange(stride_px), positions] = torch.nan
        count = max(1, _AT_ONCE_PX // (shape[2] * shape[3] * scale**2))
        with torch.inference_mode(), _Structure():
            spoiled = torch.cat([_spoiled(network, some, axis) for some in torch.split(image, count)])
        distances = _distances(spoiled, positions, scale)
        if distances < reach:
            return distances
        reach *= 2
    msg = f"the network looks farther than {LARGEST_RADIUS_PX} px, or everywhere; it cannot work tile by tile"
    raise ValueError(msg)


def _spoiled(network: nn.Module, image: Tensor, axis: int) -> Tensor:
    """Return whether anything at each place along an axis depends on the spoiled px: (n, length)."""
    return network(image).isnan().movedim(axis, 1).flatten(2).any(2)  # type: ignore[no-any-return]


class _Structure(TorchFunctionMode):
    """Puts pooling in the place of convolutions: what depends on what stays, in a fraction of time and memory."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call what was called, or its stand-in."""
        if func is functional.conv2d:
            return _pool(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _pool(
    image: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Return the largest of what each output px of a convolution looks at; not-a-number counts as largest.

    A dense convolution makes every channel from all channels; of grouped ones only depth-wise ones stand in networks.
    """
    seen = image if groups == image.shape[1] else image.amax(1, keepdim=True)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    seen = functional.pad(seen, (columns, columns, rows, rows), value=-torch.inf)
    largest = functional.max_pool2d(seen, weight.shape[2:], stride, 0, dilation)
    return largest.repeat(1, len(weight) // largest.shape[1], 1, 1)


def _distances(spoiled: Tensor, positions: Tensor, scale: int) -> int:
    """Return the longest way from a spoiled output px's place to the input px that spoiled it; (n, length) of truth."""
    images, outputs = spoiled.nonzero(as_tuple=True)
    return int((outputs // scale - positions[images]).abs().max())
