"""A whole image through a dense network: at once where it is small enough, else core by core, with the same result.

A core is read with the network's halo around it as far as the image goes. At the image's own border the network's own
padding acts, as it does on the whole image, so that nothing needs blending.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

AT_ONCE_PX = 2000
"""Images whose sides are no longer than this go through at once."""
CORE_PX = 1024


class DensePredictor(Protocol):
    """What is asked of a network: `models.predict.Predictor` and `Cascade` of dense tasks give it."""

    @property
    def scale(self) -> int: ...
    @property
    def halo_px(self) -> int: ...
    @property
    def stride_px(self) -> int: ...
    def __call__(self, tiles: NDArray[np.uint8], /) -> NDArray[Any]: ...


def predict_whole(
    predict: DensePredictor, image: NDArray[np.uint8], *, at_once_px: int = AT_ONCE_PX, core_px: int = CORE_PX
) -> NDArray[Any]:
    """Map an image (y, x, 3) uint8 to (scale y, scale x, c), in the predictor's own type.

    Cores have corners on the predictor's stride: `core_px` is rounded up to a multiple of it.
    """
    height, width = image.shape[:2]
    if max(height, width) <= at_once_px:
        whole: NDArray[Any] = predict(image[None])[0]
        return whole
    core_px = -(-core_px // predict.stride_px) * predict.stride_px
    drawn: NDArray[Any] | None = None
    for top in range(0, height, core_px):
        for left in range(0, width, core_px):
            rows, columns = slice(top, min(top + core_px, height)), slice(left, min(left + core_px, width))
            core = _predict_core(predict, image, rows, columns)
            if drawn is None:
                drawn = np.empty((height * predict.scale, width * predict.scale, core.shape[2]), core.dtype)
            drawn[_times(rows, predict.scale), _times(columns, predict.scale)] = core
    assert drawn is not None  # an image has pixels
    return drawn


def _predict_core(predict: DensePredictor, image: NDArray[np.uint8], rows: slice, columns: slice) -> NDArray[Any]:
    """Return the output of one core, which was read with the halo around it."""
    top, left = max(0, rows.start - predict.halo_px), max(0, columns.start - predict.halo_px)
    read = image[top : rows.stop + predict.halo_px, left : columns.stop + predict.halo_px]
    output: NDArray[Any] = predict(read[None])[0]
    own_rows, own_columns = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    core: NDArray[Any] = output[_times(own_rows, predict.scale), _times(own_columns, predict.scale)]
    return core


def _times(box: slice, scale: int) -> slice:
    return slice(box.start * scale, box.stop * scale)
