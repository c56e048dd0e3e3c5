"""Where a slide's training fields lie: squares of 1,024 px at the um per px that is wanted, and in its lower level.

A level that is four times smaller is often 3.9996 or 4.0013 times smaller. A field is placed by that true number, its
centre over the centre of its place in the lower level, so that the drift does not add up over the slide; within a field
it grows to the edges, and fields are as large as keeps it under half a px there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import TrainingError
from models.slide_reader import Region, SlideReader

FIELD_PX = 1024
"""Side of the fields that a slide is cut into, at the large images' resolution."""
NEAR_ENOUGH = 1.25
"""A level's own px are used where the wanted um per px is within this factor, as when a slide is worked on."""
_DOWNSAMPLE_TOLERANCE = 0.01
_LARGEST_DRIFT_PX = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """A slide at one resolution: a level's own px, or those of the next finer level, reduced."""

    slide: SlideReader
    level: int
    ratio: float = 1.0
    """Level px along one px of the view; 1: the level's own."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in whole px of the view."""
        height, width = self.slide.shapes[self.level]
        return int(height / self.ratio), int(width / self.ratio)

    def read(self, y: int, x: int, side_px: int) -> NDArray[np.uint8]:
        """Return the square (y, x, 3) of the view that begins at (y, x); antialiased bicubic where it is reduced."""
        if self.ratio == 1:
            return self.slide.read(self.level, Region(y, x, side_px, side_px))
        covered = self._covered(y, x, side_px, margin_px=math.ceil(2 * self.ratio))
        pixels = Image.fromarray(self.slide.read(self.level, covered))
        top, left, side = y * self.ratio - covered.y, x * self.ratio - covered.x, side_px * self.ratio
        box = (left, top, min(left + side, pixels.width), min(top + side, pixels.height))
        return np.asarray(pixels.resize((side_px, side_px), Image.Resampling.BICUBIC, box))

    def tissue_share(self, y: int, x: int, side_px: int) -> float:
        """Return the share of tissue in the square that begins at (y, x)."""
        return self.slide.tissue_share(self.level, self._covered(y, x, side_px))

    def _covered(self, y: int, x: int, side_px: int, margin_px: int = 0) -> Region:
        """Return the level's px under a square of the view, and some around it, as far as the level goes."""
        height, width = self.slide.shapes[self.level]
        top, left = (max(int(start * self.ratio) - margin_px, 0) for start in (y, x))
        bottom, right = (math.ceil((start + side_px) * self.ratio) + margin_px for start in (y, x))
        return Region(top, left, min(bottom, height) - top, min(right, width) - left)


@dataclass(frozen=True, slots=True)
class Lower:
    """The level of a slide that is its small images."""

    level: int
    downsample: float
    """Px of the view along one px of this level: the scale, within 1 %."""

    def region(self, y: int, x: int, side_px: int, scale: int) -> Region:
        """Return the whole px that lie, centre over centre, under a field of `side_px` at (y, x)."""
        low_px = side_px // scale
        low_y, low_x = (round((start + side_px / 2) / self.downsample - low_px / 2) for start in (y, x))
        return Region(low_y, low_x, low_px, low_px)

    def side_px(self, scale: int) -> int:
        """Return the largest field over whose half the drift stays under half a px."""
        drift = abs(self.downsample / scale - 1)
        return int(min(2 * _LARGEST_DRIFT_PX / drift, FIELD_PX)) if drift else FIELD_PX


@dataclass(frozen=True, slots=True)
class Fields:
    """The squares that a slide is cut into."""

    view: View
    side_px: int
    scale: int
    lower: Lower | None = None

    def places(self) -> Iterator[tuple[int, int]]:
        """Give the first corner (y, x) of every field, in px of the view, in reading order."""
        height, width = self.view.shape
        rows, columns = (list(self._starts(axis, length)) for axis, length in enumerate((height, width)))
        return ((y, x) for y in rows for x in columns)

    def _starts(self, axis: int, length: int) -> Iterator[int]:
        if self.lower is None:
            yield from range(0, length - self.side_px + 1, self.side_px)
            return
        low_px = self.side_px // self.scale
        low_length = self.view.slide.shapes[self.lower.level][axis]
        for low_start in range(0, low_length - low_px + 1, low_px):
            start = round((low_start + low_px / 2) * self.lower.downsample - self.side_px / 2)
            if 0 <= start <= length - self.side_px:
                yield start

    def read(self, y: int, x: int) -> NDArray[np.uint8]:
        """Return the large image (y, x, 3) of the field at (y, x)."""
        return self.view.read(y, x, self.side_px)

    def read_lower(self, y: int, x: int) -> NDArray[np.uint8]:
        """Return the small image of the field at (y, x): the lower level's own px."""
        assert self.lower is not None
        return self.view.slide.read(self.lower.level, self.lower.region(y, x, self.side_px, self.scale))


def lay_fields(view: View, scale: int, crop_px: int, *, pyramid: bool) -> Fields:
    """Return the fields of a view: of 1,024 px or less, a multiple of the scale, smaller where a lower level drifts.

    Raises
    ------
    TrainingError
        if a field would be smaller than a crop, or there is no level for the small images.
    """
    lower = _lower_level(view, scale) if pyramid else None
    side_px = min(FIELD_PX, *view.shape, lower.side_px(scale) if lower else FIELD_PX) // scale * scale
    if side_px < max(crop_px, scale):
        what = f"{view.slide.name}: its fields of {side_px} px are smaller than the crops of {crop_px} px"
        raise TrainingError(what, "Take smaller crops, or another slide.")
    return Fields(view, side_px, scale, lower)


def view_at(slide: SlideReader, mpp: float | None) -> View:
    """Return a slide at `mpp` um per px: the nearest level within a factor of 1.25, else a finer one, reduced.

    Raises
    ------
    TrainingError
        if the slide's own um per px is not known, or coarser than what is wanted.
    """
    if mpp is None:
        return View(slide, 0)
    if slide.mpp is None:
        what = f"{slide.name}: wanted at {mpp:g} um per px, but nobody says how many um its px span"
        raise TrainingError(what, "Give the source a slide_mpp, such as 0.25 for a scan at 40x.")
    levels = [slide.mpp * downsample for downsample in slide.downsamples]
    nearest = min(range(len(levels)), key=lambda level: abs(math.log(levels[level] / mpp)))
    if abs(math.log(levels[nearest] / mpp)) <= math.log(NEAR_ENOUGH) + 1e-9:
        return View(slide, nearest)
    finer = [level for level, one in enumerate(levels) if one < mpp]
    if not finer:
        what = f"{slide.name}: wanted at {mpp:g} um per px, but scanned at {levels[0]:g}"
        raise TrainingError(what, "Train on a finer scan, or ask for a coarser mpp.")
    return View(slide, finer[-1], mpp / levels[finer[-1]])


def _lower_level(view: View, scale: int) -> Lower:
    downsamples = view.slide.downsamples
    ratios = {level: one / downsamples[view.level] for level, one in enumerate(downsamples)}
    level = min(ratios, key=lambda level: abs(ratios[level] / scale - 1))
    if view.ratio != 1 or abs(ratios[level] / scale - 1) > _DOWNSAMPLE_TOLERANCE:
        found = ", ".join(f"{one:g}" for one in downsamples)
        where = "which is no level of it" if view.ratio != 1 else f"level {view.level}"
        what = f"{view.slide.name}: no level {scale} times coarser than {where} (downsamples: {found})"
        raise TrainingError(what, "Take a scale and an mpp that two of its levels have, or a computed degradation.")
    return Lower(level, ratios[level])
