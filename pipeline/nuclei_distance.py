"""How far each pixel of a mask is from what is not in it: exact, in whole numbers, as far as nuclei are wide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Squares = NDArray[np.int32]


def squared_distance(mask: NDArray[np.bool_], cap_px: int) -> Squares:
    """Squared Euclidean distance, (y, x) in px2, from pixel centres to the nearest one outside the mask, 0 outside.

    What lies beyond the image is outside. Distances of cap_px or more are some number of cap_px**2 or more: nobody is
    to tell them apart.
    """
    squares: Squares = np.empty(mask.shape, np.int32)
    _measure(np.ascontiguousarray(mask), cap_px, squares)
    return squares


@compiled("void(boolean[:, ::1], int64, int32[:, ::1])")
def _measure(mask: NDArray[np.bool_], cap_px: int, squares: Squares) -> None:
    """Along y first, then the lowest of the parabolas that stand on the pixels of a row (Saito and Toriwaki 1994).

    A pixel looks no further along its row than the nearest that it has found: nuclei are narrow.
    """
    height, width = mask.shape
    cap, one = np.int32(cap_px), np.int32(1)
    steps = np.zeros(width, np.int32)  # to the nearest pixel outside, above
    for y in range(height):
        inside, row = mask[y], squares[y]
        for x in range(width):
            steps[x] = min(steps[x] + one, cap) * inside[x]
            row[x] = steps[x]
    steps[:] = 0  # to the nearest above or below
    line = np.zeros(width + 2 * cap_px, np.int32)  # squares; what lies beyond the image is outside
    along_y = line[cap_px : cap_px + width]
    for y in range(height - 1, -1, -1):
        row = squares[y]
        for x in range(width):
            steps[x] = min(row[x], steps[x] + one)
            along_y[x] = steps[x] * steps[x]
        for x in range(width):
            nearest, away = along_y[x], one
            while away * away < nearest:
                beside = min(line[cap_px + x - away], line[cap_px + x + away])
                nearest = min(nearest, beside + away * away)
                away += one
            row[x] = nearest
