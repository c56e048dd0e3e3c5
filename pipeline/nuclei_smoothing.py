"""A Gaussian over a network's maps, the same bits for a pixel wherever in the array it lies."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

TRUNCATE = 3.0
"""Where the Gaussian ends, in standard deviations."""


def smoothed(image: Floats, sigma_px: float) -> Floats:
    """Filter a (y, x) image by a Gaussian of so many px, mirrored beyond its sides; 0 leaves it.

    Sums are taken in single precision, from the middle outwards, for all pixels alike: within 2e-7 of
    `scipy.ndimage.gaussian_filter` for probabilities.
    """
    if not sigma_px:
        return image
    weights = _half_kernel(sigma_px)
    radius = len(weights) - 1
    rows, columns = (np.pad(np.arange(length), radius, mode="symmetric") for length in image.shape)
    result = np.empty(image.shape, np.float32)
    _filter(np.ascontiguousarray(image), rows, columns, weights, result)
    return result


def _half_kernel(sigma_px: float) -> Floats:
    """The weight of the middle, and of those so many px away from it on either side; all together 1."""
    away = np.arange(math.ceil(TRUNCATE * sigma_px) + 1)
    half = np.exp(-0.5 * (away / sigma_px) ** 2)
    return np.asarray(half / (half[0] + 2 * half[1:].sum()), np.float32)


@compiled("void(Array(float32, 2, 'C', True), int64[::1], int64[::1], float32[::1], float32[:, ::1])")
def _filter(image: Floats, rows: Indices, columns: Indices, weights: Floats, result: Floats) -> None:
    """Row by row: down, then across what that gave; `rows` and `columns` go as far beyond the image as the filter."""
    height, width = image.shape
    radius, most = len(weights) - 1, weights[0]
    line = np.empty(width + 2 * radius, np.float32)
    down = line[radius : radius + width]
    for y in range(height):
        middle, out = image[y], result[y]
        for x in range(width):
            down[x] = middle[x] * most
        for away in range(1, radius + 1):
            above, below, weight = image[rows[y + radius - away]], image[rows[y + radius + away]], weights[away]
            for x in range(width):
                down[x] += (above[x] + below[x]) * weight
        for x in range(radius):
            line[x] = down[columns[x]]
            line[radius + width + x] = down[columns[radius + width + x]]
        for x in range(width):
            out[x] = down[x] * most
        for away in range(1, radius + 1):
            left, right, weight = line[radius - away :], line[radius + away :], weights[away]
            for x in range(width):
                out[x] += (left[x] + right[x]) * weight
