"""What quality control measures of every cell, from pixels of about 0.5 um: how sharp, how dense, how much dirt.

Sharpness is told by three octaves of detail, differences of Gaussians. A lens out of focus takes the finest octave away
and leaves the coarser ones, so that their proportions tell blur whatever the tissue's own contrast. All that is summed
over a cell are whole numbers: a cell has the same bits in whatever tile it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FINE, MIDDLE, COARSE, DENSITY_RGB, DIRT_SHARE = 0, 1, 2, slice(3, 6), 6
MEASURES = 7
"""Channels: mean squares of three octaves in grey levels, optical density of the brighter pixels, share of dirt."""

# In pixels; each octave lies between two of them. The coarser ones are taken of every second pixel: of what is blurred
# by 1.4 px nothing is lost by that.
_FINEST_PX, _FINER_PX = 0.7, 1.4
_STEP_PX = 2
_TO_COARSER_PX = (2.42 / _STEP_PX, 4.85 / _STEP_PX)  # on top of the one before: 1.4 to 2.8 to 5.6 px
_TRUNCATE = 3.0
HALO_PX = 28
"""No measurement looks further. Even, so that every second pixel is the same in every tile."""

# Squares are summed as multiples of 1/64 of a squared grey level.
_STEPS = 64.0

# Three quarters of a cell's pixels are darker: between nuclei, yet not the white of a crack.
_BRIGHT_SHARE = 0.75
_DIRT_MAX, _DIRT_MAX_CHROMA = 90, 24
_OFFSET = 8.0


def measure(
    pixels: NDArray[np.uint8], inner: tuple[slice, slice], cell_px: int, white: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Measure the cells, (y, x, MEASURES), of the inner part of (y, x, 3) RGB; cells cut at the far edges are filled.

    Around the inner part lie HALO_PX more, or less where the slide ends.
    """
    owned = _whole_cells(pixels[inner], cell_px)
    octaves = [
        _cell_means(_whole_cells(_inner(energy, inner, step), cell_px // step), cell_px // step) / _STEPS
        for energy, step in _octaves(pixels)
    ]
    bright = _cell_quantile(owned, cell_px, _BRIGHT_SHARE)
    density = np.log((np.asarray(white) + _OFFSET) / (bright + _OFFSET))
    red, green, blue = (owned[..., channel] for channel in range(3))  # several times as fast as along the last axis
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    dirt = (most < _DIRT_MAX) & (most - least < _DIRT_MAX_CHROMA)
    dirt_share = _cell_means(dirt.astype(np.int64), cell_px)
    return np.dstack([*octaves, density, dirt_share]).astype(np.float32)


def _octaves(pixels: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Squares of the differences of Gaussians of the light, (y, x) each, finest first, and the px that they skip."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    finest, finer = (_blurred(grey, sigma) for sigma in (_FINEST_PX, _FINER_PX))
    yield _squared(finest - finer), 1
    before = finer[::_STEP_PX, ::_STEP_PX]
    for sigma in _TO_COARSER_PX:
        after = _blurred(before, sigma)
        yield _squared(before - after), _STEP_PX
        before = after


def _blurred(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(values, sigma_px, truncate=_TRUNCATE, mode="nearest"))


def _squared(values: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(np.rint(values * values * np.float32(_STEPS)), np.int64)


def _inner(values: NDArray[Any], inner: tuple[slice, slice], step_px: int) -> NDArray[Any]:
    """The inner part of values that are there for every step_px-th pixel."""
    rows, columns = (slice(-(-each.start // step_px), -(-each.stop // step_px)) for each in inner)
    return values[rows, columns]


def _whole_cells(values: NDArray[Any], cell_px: int) -> NDArray[Any]:
    """Repeat the last rows and columns until cells are whole."""
    height, width = values.shape[:2]
    missing = [(0, -height % cell_px), (0, -width % cell_px), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, missing, mode="edge")


def _cell_means(values: NDArray[Any], cell_px: int) -> NDArray[np.float64]:
    """Means of whole numbers (y, x) over cells; sums of integers have no order."""
    height, width = values.shape
    rows = np.add.reduceat(values, np.arange(0, height, cell_px), axis=0, dtype=np.int64)
    return np.asarray(np.add.reduceat(rows, np.arange(0, width, cell_px), axis=1) / cell_px**2)


def _cell_quantile(pixels: NDArray[Any], cell_px: int, share: float) -> NDArray[Any]:
    """Per cell and colour the value that `share` of the pixels do not exceed; (y, x, 3)."""
    rows, columns = pixels.shape[0] // cell_px, pixels.shape[1] // cell_px
    cells = pixels.reshape(rows, cell_px, columns, cell_px, 3).transpose(0, 2, 4, 1, 3).reshape(rows, columns, 3, -1)
    rank = int(share * (cell_px**2 - 1))
    return np.partition(cells, rank, axis=-1)[..., rank]
