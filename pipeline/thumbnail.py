"""A slide at a few um a pixel, averaged from the coarsest level that is fine enough, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Frame
from pipeline.slide import LevelSource, Slide

_READ_PX = 2048


def thumbnail(slide: Slide, mpp: float) -> tuple[NDArray[np.uint8], Frame]:
    """Return (y, x, 3) RGB and its frame, whose pixels are a whole number of a level's pixels, about `mpp` um.

    The frame covers level 0; where a level that was rounded down ends earlier, its last pixels are repeated.
    """
    near_enough = 1.25 * mpp
    index = max((i for i in slide.info.usable_levels if slide.info.levels[i].mpp <= near_enough), default=0)
    level = slide.level(index)
    factor = max(1, round(mpp / level.frame.mpp))
    means = _block_means(level, factor)
    frame = slide.info.frame.at(level.frame.mpp * factor)
    missing = [(0, max(0, want - have)) for want, have in zip(frame.shape, means.shape[:2], strict=True)]
    padded = np.pad(means, (*missing, (0, 0)), mode="edge")
    return np.ascontiguousarray(padded[: frame.height, : frame.width]), frame


def _block_means(level: LevelSource, factor: int) -> NDArray[np.uint8]:
    """Return the means of factor x factor pixels; blocks at the far edges average what there is."""
    height, width = (-(-side // factor) for side in level.frame.shape)
    means = np.empty((height, width, 3), np.uint8)
    side = max(1, _READ_PX // factor)
    for place in Frame(height, width, level.frame.mpp * factor).partition(side):
        pixels = level.read(level.frame.box.clip(place.times(factor)))
        means[place.slices()] = _block_mean(pixels, factor)
    return means


def _block_mean(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the means of factor x factor pixels of (y, x, 3), rounded half to even; of fewer at the far edges."""
    if factor == 1:
        return pixels
    rows, columns = (np.diff([*range(0, side, factor), side]) for side in pixels.shape[:2])
    sums = _sums(pixels, factor, (len(rows), len(columns)))
    means = np.divide(sums, np.multiply.outer(rows, columns))
    return np.moveaxis(np.rint(means, out=means).astype(np.uint8), 0, -1)


def _sums(pixels: NDArray[np.uint8], factor: int, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Return the sums (3, y, x) of blocks of (y, x, 3), rows first: what remains to be added across is a part of it."""
    down = np.zeros((shape[0], *pixels.shape[1:]), np.uint16 if factor <= 2**16 // 255 else np.uint32)
    for offset in range(min(factor, len(pixels))):
        part = pixels[offset::factor]
        down[: len(part)] += part
    sums = np.zeros((3, *shape), np.uint32)
    for offset in range(min(factor, pixels.shape[1])):
        part = down[:, offset::factor]
        for channel in range(3):
            sums[channel, :, : part.shape[1]] += part[..., channel]
    return sums
