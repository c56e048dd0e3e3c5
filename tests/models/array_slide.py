"""A slide in memory, for the tests of training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.slide_reader import Region

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ArraySlide:
    """Levels as arrays (y, x, 3); all of it is tissue but for what is white."""

    levels: tuple[Pixels, ...]
    downsamples: tuple[float, ...] = (1.0,)
    mpp: float | None = None
    name: str = "slide"
    broken: Callable[[Region], bool] = lambda _: False

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((level.shape[0], level.shape[1]) for level in self.levels)

    def read(self, level: int, region: Region) -> Pixels:
        height, width = self.shapes[level]
        assert 0 <= region.y <= region.y + region.height <= height
        assert 0 <= region.x <= region.x + region.width <= width
        if self.broken(region):
            raise TrainingError(f"{self.name}: {region} cannot be decoded", "Copy it again.")
        return self.levels[level][region.y : region.y + region.height, region.x : region.x + region.width]

    def tissue_share(self, level: int, region: Region) -> float:
        rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        return float((self.levels[level][rows, columns].min(axis=2) < 255).mean())


def waves(y_px: NDArray[np.float64], x_px: NDArray[np.float64]) -> Pixels:
    """A picture without an end, (y, x, 3), sampled at places in px: it can be drawn at any downsample and offset."""
    y, x = y_px[:, np.newaxis], x_px
    light = sum(
        np.sin(y / period + 3 * np.sin(x / (5 * period)) + place) + np.cos(x / period - 2 * np.cos(y / (4 * period)))
        for place, period in enumerate((6.1, 9.7, 14.3))
    )
    channels = [np.clip(128 + gain * np.asarray(light), 0, 254) for gain in (18, 15, 12)]
    pixels: Pixels = np.rint(np.stack(channels, axis=2)).astype(np.uint8)
    return pixels


def centres(length: int, downsample: float, offset_px: float = 0.0) -> NDArray[np.float64]:
    """Where the px of a level lie, in level-0 px."""
    return (np.arange(length, dtype=np.float64) + 0.5 + offset_px) * np.float64(downsample)
