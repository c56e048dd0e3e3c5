"""Resampling on a fixed frame: antialiased bicubic, bit-identical whatever box it is asked for.

Keys' cubic convolution with a = -0.5, stretched by the ratio when pixels become larger, weights of a pixel normalised
to one, taps beyond the border left out: what Pillow and MATLAB's `imresize` call bicubic. The weights of a pixel
depend on its place in the frame alone, and its sum is always taken in the same order, so tiles equal the whole.

Source: R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29 (1981).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.geometry import Box, Frame

if TYPE_CHECKING:
    from pipeline.slide import PixelSource

_SUPPORT = 2.0
# What is read at once to make one box: 24 megapixels, 290 MB once they are single-precision floats.
_MAX_SOURCE_PX = 24_000_000


class Resampled:
    """A pixel source in another frame of the same slide."""

    def __init__(self, source: PixelSource, frame: Frame) -> None:
        self._source = source
        self._frame = frame
        self._ratio = source.frame.pixels_per(frame)

    @property
    def frame(self) -> Frame:
        """The frame that boxes are in."""
        return self._frame

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Return (y, x, 3) RGB; white outside the frame."""
        pixels = np.full((*box.shape, 3), 255, np.uint8)
        inside = self._frame.box.clip(box)
        for part in _parts(inside, self._ratio):
            pixels[part.relative_to(box).slices()] = self._resample(part)
        return pixels

    def _resample(self, box: Box) -> NDArray[np.uint8]:
        source_height, source_width = self._source.frame.shape
        y, rows = tap_weights(box.y, box.y_end, self._ratio, source_height)
        x, columns = tap_weights(box.x, box.x_end, self._ratio, source_width)
        pixels = self._source.read(Box(y, x, rows.shape[1], columns.shape[1])).astype(np.float32)
        return np.clip(np.rint(apply_weights(pixels, rows, columns)), 0, 255).astype(np.uint8)


def apply_weights(
    pixels: NDArray[np.float32], rows: sparse.csr_array, columns: sparse.csr_array
) -> NDArray[np.float32]:
    """Return (y, x, c) of (source y, source x, c): first along the columns of pixels, then along the rows."""
    source_height, source_width, channels = pixels.shape
    height, width = rows.shape[0], columns.shape[0]
    tall = (rows @ pixels.reshape(source_height, -1)).reshape(height, source_width, channels)
    wide = columns @ np.ascontiguousarray(tall.transpose(1, 0, 2)).reshape(source_width, -1)
    return np.ascontiguousarray(wide.reshape(width, height, channels).transpose(1, 0, 2))


def tap_weights(first: int, end: int, ratio: float, source_length: int) -> tuple[int, sparse.csr_array]:
    """Return the first source pixel needed and the weights (target, source) of the target pixels first .. end.

    `ratio` is the number of source pixels that span a target pixel; `source_length` is where the source ends.
    """
    stretch = max(ratio, 1.0)
    centre = (np.arange(first, end) + 0.5) * ratio
    low = np.maximum(np.floor(centre - _SUPPORT * stretch + 0.5), 0).astype(np.int64)
    high = np.minimum(np.floor(centre + _SUPPORT * stretch + 0.5), source_length).astype(np.int64)
    taps = low[:, np.newaxis] + np.arange(math.ceil(2 * _SUPPORT * stretch) + 1)
    weights = np.where(taps < high[:, np.newaxis], _cubic((taps + 0.5 - centre[:, np.newaxis]) / stretch), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    start, stop = int(low[0]), int(high[-1])
    row, tap = np.nonzero(weights)
    entries = weights[row, tap].astype(np.float32), (row, taps[row, tap] - start)
    return start, sparse.csr_array(entries, shape=(end - first, stop - start))


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel at a = -0.5; zero from 2 on."""
    t = np.abs(distance)
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < _SUPPORT, far, 0.0))


def _parts(box: Box, ratio: float) -> list[Box]:
    """Split a box until the source pixels of a part fit the budget; its pixels are the same either way."""
    if not box.area_px:
        return []
    reach = 2 * _SUPPORT * max(ratio, 1.0) + 2
    needed_px = (box.height * ratio + reach) * (box.width * ratio + reach)
    if needed_px <= _MAX_SOURCE_PX or box.shape == (1, 1):
        return [box]
    if box.height >= box.width:
        half = box.height // 2
        halves = Box(box.y, box.x, half, box.width), Box(box.y + half, box.x, box.height - half, box.width)
    else:
        half = box.width // 2
        halves = Box(box.y, box.x, box.height, half), Box(box.y, box.x + half, box.height, box.width - half)
    return [part for piece in halves for part in _parts(piece, ratio)]
