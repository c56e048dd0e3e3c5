"""What quality control measures, by numpy and scipy on whole pictures, an operation after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def plainly_measured(
    pixels: NDArray[np.uint8], inner: tuple[slice, slice], cell_px: int, white: tuple[float, float, float]
) -> NDArray[np.float32]:
    """As `pipeline.qc_measure.measure`."""
    rows, columns = inner
    every_second = tuple(slice(-(-each.start // 2), -(-each.stop // 2)) for each in inner)
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    finest, finer = _blurred(grey, 0.7), _blurred(grey, 1.4)
    half = finer[::2, ::2]
    middle = _blurred(half, 2.42 / 2)
    coarse = _blurred(middle, 4.85 / 2)
    octaves = [
        _means(_squared(finest - finer)[rows, columns], cell_px),
        _means(_squared(half - middle)[every_second], cell_px // 2),
        _means(_squared(middle - coarse)[every_second], cell_px // 2),
    ]
    owned = pixels[rows, columns]
    cells = _cells(owned, cell_px).reshape(*octaves[0].shape, -1, 3)
    rank = int(0.75 * (cell_px**2 - 1))
    density = np.log((np.asarray(white) + 8) / (np.sort(cells, axis=2)[:, :, rank] + 8.0))
    most, least = owned.max(axis=-1), owned.min(axis=-1)
    dirt = _means((most < 90) & (most - least < 24), cell_px)
    return np.dstack([*(octave / 64 for octave in octaves), density, dirt]).astype(np.float32)


def _blurred(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(values, sigma_px, truncate=3.0, mode="nearest"))


def _squared(values: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(np.rint(values * values * np.float32(64)), np.int64)


def _means(values: NDArray[Any], cell_px: int) -> NDArray[np.float64]:
    cells = _cells(values, cell_px)
    return np.asarray(cells.sum(axis=(2, 3), dtype=np.int64) / cell_px**2)


def _cells(values: NDArray[Any], cell_px: int) -> NDArray[Any]:
    """Cells (row, column, y, x, ...), those at the far edges filled by the last rows and columns."""
    missing = [(0, -side % cell_px) for side in values.shape[:2]]
    whole = np.pad(values, [*missing, *[(0, 0)] * (values.ndim - 2)], mode="edge")
    height, width = (side // cell_px for side in whole.shape[:2])
    return whole.reshape(height, cell_px, width, cell_px, *whole.shape[2:]).swapaxes(1, 2)
