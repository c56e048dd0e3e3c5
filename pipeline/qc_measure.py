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

from pipeline.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Counts = NDArray[np.int64]

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
    pixels: Pixels, inner: tuple[slice, slice], cell_px: int, white: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Measure the cells, (y, x, MEASURES), of the inner part of (y, x, 3) RGB; cells cut at the far edges are filled.

    Around the inner part lie HALO_PX more, or less where the slide ends.
    """
    octaves = [
        _mean_squares(_whole_cells(_inner(octave, inner, step), cell_px // step), cell_px // step)
        for octave, step in _octaves(np.ascontiguousarray(pixels))
    ]
    bright, dirt = _colours(_whole_cells(pixels[inner], cell_px), cell_px)
    density = np.log((np.asarray(white) + _OFFSET) / (bright + _OFFSET))
    return np.dstack([*octaves, density, dirt / cell_px**2]).astype(np.float32)


def _octaves(pixels: Pixels) -> Iterator[tuple[Floats, int]]:
    """Differences of Gaussians of the light, (y, x) each, finest first, and the px that they skip."""
    grey = np.empty(pixels.shape[:2], np.float32)
    _luminance(pixels, grey)
    finest, finer = (_blurred(grey, sigma) for sigma in (_FINEST_PX, _FINER_PX))
    yield finest - finer, 1
    before = np.ascontiguousarray(finer[::_STEP_PX, ::_STEP_PX])
    for sigma in _TO_COARSER_PX:
        after = _blurred(before, sigma)
        yield before - after, _STEP_PX
        before = after


def _blurred(values: Floats, sigma_px: float) -> Floats:
    """The same bits as `scipy.ndimage.gaussian_filter`."""
    reach = int(_TRUNCATE * sigma_px + 0.5)
    weights = np.exp(-0.5 / (sigma_px * sigma_px) * np.arange(-reach, reach + 1) ** 2)
    result = np.empty_like(values)
    _filter(values, (weights / weights.sum())[reach:], result)
    return result


def _inner(values: NDArray[Any], inner: tuple[slice, slice], step_px: int) -> NDArray[Any]:
    """The inner part of values that are there for every step_px-th pixel."""
    rows, columns = (slice(-(-each.start // step_px), -(-each.stop // step_px)) for each in inner)
    return values[rows, columns]


def _whole_cells(values: NDArray[Any], cell_px: int) -> NDArray[Any]:
    """Repeat the last rows and columns until cells are whole."""
    height, width = values.shape[:2]
    missing = [(0, -height % cell_px), (0, -width % cell_px), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, missing, mode="edge")


def _mean_squares(values: Floats, cell_px: int) -> Doubles:
    """Means over cells of the squares of (y, x) values."""
    sums = np.zeros((values.shape[0] // cell_px, values.shape[1] // cell_px), np.int64)
    _sum_squares(values, cell_px, sums)
    return np.asarray(sums / cell_px**2 / _STEPS)


def _colours(pixels: Pixels, cell_px: int) -> tuple[Pixels, Counts]:
    """Of cells the value that _BRIGHT_SHARE of their pixels do not exceed, (y, x, 3), and pixels of dirt, (y, x)."""
    rows, columns = pixels.shape[0] // cell_px, pixels.shape[1] // cell_px
    bright, dirt = np.empty((rows, columns, 3), np.uint8), np.empty((rows, columns), np.int64)
    _look_at_colours(pixels, cell_px, bright, dirt)
    return bright, dirt


@compiled("void(Array(uint8, 3, 'C', True), float32[:, ::1])")
def _luminance(pixels: Pixels, grey: Floats) -> None:
    """The light of (y, x, 3) RGB, in single precision."""
    red, green, blue = np.float32(0.299), np.float32(0.587), np.float32(0.114)
    for y in range(grey.shape[0]):
        row, out = pixels[y], grey[y]
        for x in range(grey.shape[1]):
            out[x] = red * np.float32(row[x, 0]) + green * np.float32(row[x, 1]) + blue * np.float32(row[x, 2])


@compiled("void(float32[:, ::1], float64[::1], float32[:, ::1])")
def _filter(values: Floats, weights: Doubles, result: Floats) -> None:
    """Row by row: down, then across what that gave; beyond the picture its edge goes on.

    In scipy's order and precision: doubles, from the middle to the outermost pair and inwards from there, and floats
    between the two directions.
    """
    height, width = values.shape
    reach, most = len(weights) - 1, weights[0]
    line, total = np.empty(width + 2 * reach, np.float64), np.empty(width, np.float64)
    for y in range(height):
        middle = values[y]
        for x in range(width):
            total[x] = middle[x] * most
        for away in range(reach, 0, -1):
            above, below, weight = values[max(y - away, 0)], values[min(y + away, height - 1)], weights[away]
            for x in range(width):
                total[x] += (np.float64(above[x]) + np.float64(below[x])) * weight
        for x in range(width):
            line[reach + x] = np.float32(total[x])
        line[:reach] = line[reach]
        line[reach + width :] = line[reach + width - 1]
        for x in range(width):
            total[x] = line[reach + x] * most
        for away in range(reach, 0, -1):
            left, right, weight = line[reach - away :], line[reach + away :], weights[away]
            for x in range(width):
                total[x] += (left[x] + right[x]) * weight
        result[y] = total


@compiled("void(float32[:, ::1], int64, int64[:, ::1])")
def _sum_squares(values: Floats, cell_px: int, sums: Counts) -> None:
    """Squares in whole multiples of 1 / _STEPS, added up over each cell."""
    steps = np.float32(_STEPS)
    for y in range(values.shape[0]):
        row, sums_of_row = values[y], sums[y // cell_px]
        for column in range(sums.shape[1]):
            total = 0
            for x in range(column * cell_px, (column + 1) * cell_px):
                total += int(np.rint(row[x] * row[x] * steps))
            sums_of_row[column] += total


@compiled("void(uint8[:, :, ::1], int64, uint8[:, :, ::1], int64[:, ::1])")
def _look_at_colours(pixels: Pixels, cell_px: int, bright: Pixels, dirt: Counts) -> None:
    """Fill `bright` and `dirt`; values are counted instead of sorted, as there are but 256."""
    rank = int(_BRIGHT_SHARE * (cell_px**2 - 1))
    counts = np.empty((3, 256), np.int64)
    for row in range(dirt.shape[0]):
        for column in range(dirt.shape[1]):
            counts[:], dark = 0, 0
            for y in range(row * cell_px, (row + 1) * cell_px):
                for x in range(column * cell_px, (column + 1) * cell_px):
                    red, green, blue = pixels[y, x, 0], pixels[y, x, 1], pixels[y, x, 2]
                    counts[0, red] += 1
                    counts[1, green] += 1
                    counts[2, blue] += 1
                    most, least = max(red, green, blue), min(red, green, blue)
                    dark += most < _DIRT_MAX and most - least < _DIRT_MAX_CHROMA
            dirt[row, column] = dark
            for colour in range(3):
                value, passed = 0, counts[colour, 0]
                while passed <= rank:
                    value += 1
                    passed += counts[colour, value]
                bright[row, column, colour] = value
