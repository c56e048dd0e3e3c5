"""What lies within a few pixels of a mask, and the mask's nearest pixel to it, on large masks.

Each offset is looked at in turn, a few rows at a time: the distances of all pixels of a picture, of which only the
short ones are wanted, take ten times as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.local_means import strips

Indices = NDArray[np.int64]
Keys = NDArray[np.uint16]
Mask = NDArray[np.bool_]

# Up to here a squared distance and an offset fit 16 bits together. Beyond it, on the fine masks of small pictures, the
# distances of all pixels are taken.
_REACH_BY_OFFSETS_PX = 8


@dataclass(frozen=True, slots=True)
class Near:
    """The pixels near a mask, its own among them; all (n), places counted in reading order."""

    place: Indices
    distance_px: NDArray[np.float64]
    nearest: Indices
    """The place of the mask's nearest pixel; of several as near the leftmost, of those the topmost."""


def near(mask: Mask, reach_px: float) -> Near:
    """The pixels that a (y, x) mask, which is not empty, comes as close to as `reach_px`."""
    reach = int(reach_px)
    if reach > _REACH_BY_OFFSETS_PX:
        away, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
        place = np.flatnonzero(away <= reach_px)
        y, x = (index.reshape(-1)[place].astype(np.int64) for index in nearest)
        return Near(place, away.reshape(-1)[place], y * mask.shape[1] + x)
    keys = np.concatenate([_keys(mask, rows, reach) for rows in strips(mask.shape, reach)])
    side = 2 * reach + 1
    farthest = max(squared for squared in range((reach + 1) ** 2) if math.sqrt(squared) <= reach_px)
    place = np.flatnonzero(keys < (farthest + 1) * side**2)
    squared, offset = np.divmod(np.arange((farthest + 1) * side**2), side**2)  # of every key: pixels are many more
    right, down = np.divmod(offset, side)
    step = (down - reach) * mask.shape[1] + right - reach
    key = keys.reshape(-1)[place]
    return Near(place, np.sqrt(squared)[key], place + step[key])


def _keys(mask: Mask, rows: slice, reach: int) -> Keys:
    """Of some rows: squared distance, offset to the right and offset down of the nearest pixel, in one number.

    The least number is the nearest pixel, so that the least along columns, then along rows, is the least of all. Where
    there is none in sight the number says that it is farther than `reach`.
    """
    side, height = 2 * reach + 1, len(mask)
    top, bottom = max(0, rows.start - reach), min(height, rows.stop + reach)
    above, below = reach - (rows.start - top), reach - (bottom - rows.stop)
    unseen = np.uint16((reach + 1) ** 2 * side**2)
    start = np.where(np.pad(mask[top:bottom], ((above, below), (reach, reach))), np.uint16(0), unseen)
    return _least(_least(start, reach, 1, unseen).T, reach, side, unseen).T


def _least(keys: Keys, reach: int, step: int, unseen: np.uint16) -> Keys:
    """The least along the first axis, each having its distance and `step` for each offset added."""
    length, side = len(keys) - 2 * reach, 2 * reach + 1
    least = np.full_like(keys[:length], unseen)
    moved = np.empty_like(least)
    for offset in range(side):
        away = np.uint16((offset - reach) ** 2 * side**2 + offset * step)
        np.add(keys[offset : offset + length], away, out=moved)
        np.minimum(least, moved, out=least)
    return least
