"""Where a slide holds tissue: a mask of about 8 um a pixel, made from the slide alone, asked by box or by point.

How it is made and where it fails: docs/explanation/tissue.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import ndimage

from pipeline.durable import whole_or_absent
from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.slide import Slide
from pipeline.staining import stained
from pipeline.thumbnail import thumbnail

Floats = NDArray[np.float64]

# A pixel of the mask; finer on small pictures, whose masks are _MIN_SIDE_PX high and wide where their pixels allow it,
# and coarser on slides above 30 x 30 mm.
MASK_MPP = 8.0
_MIN_SIDE_PX = 128
_MAX_PX = 14_000_000


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue (True) on a coarse frame of its own; (y, x). Boxes and points come in any frame of the same slide."""

    mask: NDArray[np.bool_]
    frame: Frame

    def __post_init__(self) -> None:
        if self.mask.shape != self.frame.shape or self.mask.dtype != np.bool_:
            msg = f"a mask {self.mask.shape} of {self.mask.dtype} does not fill a frame {self.frame.shape} of bool"
            raise ValueError(msg)

    @classmethod
    def everything(cls, frame: Frame) -> TissueMask:
        """All of a slide whose level 0 is `frame`."""
        coarse = frame.at(_mask_mpp(frame))
        return cls(np.ones(coarse.shape, np.bool_), coarse)

    @classmethod
    def from_image(cls, path: Path, frame: Frame) -> TissueMask:
        """Read a picture drawn over the slide whose level 0 is `frame`; tissue is where it is not black.

        Raises ConfigError when it is no picture, or when its sides are not in the slide's proportion.
        """
        try:
            with Image.open(path) as picture:
                drawn = np.asarray(picture.convert("RGB")).max(axis=2) > 0
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            what = f"{path}: not a picture that can be read as a tissue mask ({error})"
            raise ConfigError(what, "Give a PNG whose tissue is white and whose background is black.") from error
        _check_proportion(path, drawn.shape, frame)
        coarse = frame.at(_mask_mpp(frame))
        rows, columns = (
            np.minimum((np.arange(side) + 0.5) * coarse.mpp / frame.mpp, full - 0.5) * (drawn_side / full)
            for side, full, drawn_side in zip(coarse.shape, frame.shape, drawn.shape, strict=True)
        )
        return cls(drawn[np.ix_(rows.astype(np.int64), columns.astype(np.int64))], coarse)

    @classmethod
    def load(cls, path: Path) -> TissueMask:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as saved:
            height, width = (int(side) for side in saved["shape"])
            mask = np.unpackbits(saved["packed"], count=height * width).astype(np.bool_).reshape(height, width)
            return cls(mask, Frame(height, width, float(saved["mpp"])))

    def save(self, path: Path) -> None:
        """Write the mask as .npz; the file appears when it is complete."""
        with whole_or_absent(path) as draft, draft.open("wb") as file:
            np.savez(file, packed=np.packbits(self.mask), shape=np.array(self.mask.shape), mpp=self.frame.mpp)

    @property
    def area_um2(self) -> float:
        """The area of all tissue."""
        return int(self.mask.sum()) * self.frame.mpp**2

    def share(self, box: Box, frame: Frame) -> float:
        """Return the share of a box in `frame` that is tissue; exact. What lies outside the slide holds none."""
        if not box.area_px:
            return 0.0
        ratio = self.frame.pixels_per(frame)
        top, bottom = self._integral_row(box.y * ratio), self._integral_row(box.y_end * ratio)
        left, right = box.x * ratio, box.x_end * ratio
        strip = bottom - top
        covered = _interpolate(strip, right) - _interpolate(strip, left)
        return float(covered / (box.area_px * ratio**2))

    def touches(self, box: Box, frame: Frame) -> bool:
        """Whether any tissue lies in a box in `frame`."""
        if not box.area_px:
            return False
        own, table = self.frame.cover(box, frame), self._integral
        below = table[own.y_end, own.x_end] - table[own.y_end, own.x]
        above = table[own.y, own.x_end] - table[own.y, own.x]
        return bool(below > above)

    def hull(self, box: Box, frame: Frame) -> Box:
        """The smallest box of whole pixels that holds all tissue inside a box in `frame`; of no area without any."""
        own = self.frame.cover(box, frame)
        held = self.mask[own.slices()]
        rows, columns = (np.flatnonzero(held.any(axis=axis)).tolist() for axis in (1, 0))
        if not rows:
            return Box(box.y, box.x, 0, 0)
        found = Box(own.y + rows[0], own.x + columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
        return box.clip(frame.cover(found, self.frame))

    def touches_cores(self, frame: Frame, core_px: int) -> NDArray[np.bool_]:
        """`touches` of every core of a grid of core_px over `frame`, (rows, columns), all at once."""
        bands = (Box(y, 0, core_px, 1) for y in range(0, frame.height, core_px))
        stripes = (Box(0, x, 1, core_px) for x in range(0, frame.width, core_px))
        down = [self.frame.cover(frame.box.clip(band), frame) for band in bands]
        along = [self.frame.cover(frame.box.clip(stripe), frame) for stripe in stripes]
        held = self._integral[[own.y_end for own in down]] - self._integral[[own.y for own in down]]
        return np.asarray(held[:, [own.x_end for own in along]] > held[:, [own.x for own in along]])

    def contains(self, y: ArrayLike, x: ArrayLike, frame: Frame) -> NDArray[np.bool_]:
        """Whether points, in px of `frame`, lie on tissue; of the shape of y and x. Nothing outside `frame` does."""
        y_px, x_px = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
        inside = (y_px >= 0) & (y_px < frame.height) & (x_px >= 0) & (x_px < frame.width)
        return np.asarray(inside & self.mask[self._rows(y_px, frame), self._columns(x_px, frame)])

    def crop(self, box: Box, frame: Frame) -> NDArray[np.uint8]:
        """Return the mask drawn at the pixels of a box in `frame`, (y, x): 1 where a pixel's centre is on tissue."""
        if not box.area_px:
            return np.zeros(box.shape, np.uint8)
        y, x = np.arange(box.y, box.y_end) + 0.5, np.arange(box.x, box.x_end) + 0.5
        rows, top = self._rows(y, frame), int(self._rows(y[:1], frame)[0])
        band = self.mask[top : int(rows[-1]) + 1].view(np.uint8)
        drawn = band[:, self._columns(x, frame)] * ((x > 0) & (x < frame.width))  # many rows of a box are one of these
        drawn = drawn[rows - top]
        drawn[(y < 0) | (y > frame.height)] = 0
        return drawn

    def dilated(self, distance_um: float) -> TissueMask:
        """Return the mask grown until it holds every point within `distance_um` of tissue along either axis.

        Along either axis, not as the crow flies: what a network sees around a pixel is a square.
        """
        reach_px = int(np.ceil(distance_um / self.frame.mpp - 1e-9))
        if reach_px <= 0:
            return self
        if reach_px not in self._grown:  # every level of a pyramid asks for the same one
            near = ndimage.maximum_filter(self.mask.view(np.uint8), 2 * reach_px + 1, mode="constant")
            self._grown[reach_px] = TissueMask(near.view(np.bool_), self.frame)
        return self._grown[reach_px]

    @cached_property
    def _grown(self) -> dict[int, TissueMask]:
        """By reach in px: what `dilated` made."""
        return {}

    @cached_property
    def _integral(self) -> NDArray[np.int64] | NDArray[np.int32]:
        """(y + 1, x + 1): tissue pixels above and to the left."""
        kind = np.int32 if self.mask.size < 2**31 else np.int64
        table = np.zeros((self.frame.height + 1, self.frame.width + 1), kind)
        np.cumsum(self.mask, axis=0, dtype=kind, out=table[1:, 1:])
        np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
        return table

    def _integral_row(self, y: float) -> Floats:
        """Return the integral along the row y, which may lie between two: between them it is linear."""
        y = min(max(y, 0.0), float(self.frame.height))
        row = min(int(y), self.frame.height - 1)
        return np.asarray(self._integral[row] + (y - row) * (self._integral[row + 1] - self._integral[row]))

    def _rows(self, y: NDArray[Any], frame: Frame) -> NDArray[np.int64]:
        return np.clip(np.floor(y * self.frame.pixels_per(frame)), 0, self.frame.height - 1).astype(np.int64)

    def _columns(self, x: NDArray[Any], frame: Frame) -> NDArray[np.int64]:
        return np.clip(np.floor(x * self.frame.pixels_per(frame)), 0, self.frame.width - 1).astype(np.int64)


def look_over(slide: Slide) -> tuple[NDArray[np.uint8], Frame]:
    """Return the slide as (y, x, 3) RGB with the pixels of its mask, and their frame."""
    return thumbnail(slide, _mask_mpp(slide.info.frame))


def find_tissue(slide: Slide) -> TissueMask:
    """Return where the slide holds stained tissue; empty for a slide that holds none."""
    return tissue_on(*look_over(slide))


def tissue_on(picture: NDArray[np.uint8], frame: Frame) -> TissueMask:
    """Return where the picture that `look_over` gave shows stained tissue."""
    return TissueMask(stained(picture, frame.mpp), frame)


def _mask_mpp(level0: Frame) -> float:
    coarsest = level0.mpp * max(1.0, min(level0.shape) / _MIN_SIDE_PX)
    finest = level0.mpp * math.sqrt(level0.box.area_px / _MAX_PX)
    return max(min(MASK_MPP, coarsest), finest)


def _interpolate(values: Floats, place: float) -> float:
    place = min(max(place, 0.0), float(len(values) - 1))
    index = min(int(place), len(values) - 2)
    return float(values[index] + (place - index) * (values[index + 1] - values[index]))


def _check_proportion(path: Path, drawn: tuple[int, ...], frame: Frame) -> None:
    height, width = drawn
    stretch = (frame.height / height) / (frame.width / width)
    if abs(stretch - 1) > 0.02 + 1 / min(height, width):
        what = f"{path}: {width} x {height} px cannot lie over a slide of {frame.width} x {frame.height} px"
        raise ConfigError(what, "Draw the tissue mask over a picture of the whole slide.")
