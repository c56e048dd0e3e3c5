"""Coordinates: a `Box` of whole pixels in a `Frame`. The only place where one frame's pixels become another's.

A frame is a rectangle of square pixels whose first corner is the slide's first corner. Pixel i covers the interval
[i, i + 1) x mpp um from there, so lengths and corners convert by the ratio of the mpp alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open rectangle of whole pixels: rows y .. y + height, columns x .. x + width."""

    y: int
    x: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            msg = f"a box cannot have a negative side: {self.height} x {self.width} px"
            raise ValueError(msg)

    def __str__(self) -> str:
        """As errors tell people of it."""
        return f"y {self.y}, x {self.x}, {self.height} x {self.width} px"

    @property
    def y_end(self) -> int:
        """The first row below."""
        return self.y + self.height

    @property
    def x_end(self) -> int:
        """The first column to the right."""
        return self.x + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.height, self.width

    @property
    def area_px(self) -> int:
        """Pixels inside."""
        return self.height * self.width

    def contains(self, y: float, x: float) -> bool:
        """Whether a point, in px of the frame, lies inside; half-open, so that in a partition a point has one owner."""
        return self.y <= y < self.y_end and self.x <= x < self.x_end

    def encloses(self, other: Box) -> bool:
        """Whether every pixel of `other` is inside."""
        return self.clip(other) == other

    def intersects(self, other: Box) -> bool:
        """Whether at least one pixel is shared."""
        return self.clip(other).area_px > 0

    def clip(self, other: Box) -> Box:
        """The part of `other` inside this box; a box of no area when there is none."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        height, width = min(self.y_end, other.y_end) - y, min(self.x_end, other.x_end) - x
        return Box(y, x, max(0, height), max(0, width))

    def grow(self, margin_px: int) -> Box:
        """The box with `margin_px` more on every side; may reach below zero."""
        return Box(self.y - margin_px, self.x - margin_px, self.height + 2 * margin_px, self.width + 2 * margin_px)

    def relative_to(self, outer: Box) -> Box:
        """The same pixels, counted from the first corner of `outer`."""
        return Box(self.y - outer.y, self.x - outer.x, self.height, self.width)

    def times(self, factor: int) -> Box:
        """The same place in a frame whose pixels are `factor` times smaller."""
        return Box(self.y * factor, self.x * factor, self.height * factor, self.width * factor)

    def over(self, divisor: int) -> Box:
        """The pixels, `divisor` times larger, that touch this box."""
        y, x = self.y // divisor, self.x // divisor
        if not self.area_px:
            return Box(y, x, 0, 0)
        return Box(y, x, -(-self.y_end // divisor) - y, -(-self.x_end // divisor) - x)

    def slices(self) -> tuple[slice, slice]:
        """(rows, columns), to index a (y, x, ...) array."""
        return slice(self.y, self.y_end), slice(self.x, self.x_end)


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of height x width square pixels of mpp um each, from the slide's first corner."""

    height: int
    width: int
    mpp: float

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1 or not (math.isfinite(self.mpp) and self.mpp > 0):
            msg = f"no frame of {self.height} x {self.width} px at {self.mpp} um/px"
            raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.height, self.width

    @property
    def box(self) -> Box:
        """The whole frame."""
        return Box(0, 0, self.height, self.width)

    def pixels_per(self, other: Frame) -> float:
        """How many pixels of this frame span one of `other`, along one axis."""
        return other.mpp / self.mpp

    def at(self, mpp: float) -> Frame:
        """The frame at another resolution; its last pixels may overhang the slide."""
        ratio = self.mpp / mpp
        return Frame(_ceil(self.height * ratio), _ceil(self.width * ratio), mpp)

    def finer(self, factor: int) -> Frame:
        """The frame with every pixel split into factor x factor."""
        return Frame(self.height * factor, self.width * factor, self.mpp / factor)

    def halved(self, times: int = 1) -> Frame:
        """The frame `times` pyramid levels down: odd sizes round up, mpp doubles exactly."""
        height, width = self.height, self.width
        for _ in range(times):
            height, width = (height + 1) // 2, (width + 1) // 2
        return Frame(height, width, self.mpp * 2**times)

    def cover(self, box: Box, other: Frame) -> Box:
        """The pixels of this frame, clipped to it, that touch `box` of the frame `other`."""
        ratio = self.pixels_per(other)
        y, x = _floor(box.y * ratio), _floor(box.x * ratio)
        if not box.area_px:
            return self.box.clip(Box(y, x, 0, 0))
        return self.box.clip(Box(y, x, _ceil(box.y_end * ratio) - y, _ceil(box.x_end * ratio) - x))

    def um_to_px(self, length_um: float) -> int:
        """Whole pixels that span at least `length_um`."""
        return _ceil(length_um / self.mpp)

    def partition(self, side_px: int) -> Iterator[Box]:
        """Boxes of side_px x side_px, smaller at the far edges, in reading order; every pixel is in exactly one."""
        for y in range(0, self.height, side_px):
            for x in range(0, self.width, side_px):
                yield self.box.clip(Box(y, x, side_px, side_px))


# A ratio of two mpp that should be whole (0.5 / 0.25) may miss it by a rounding error; a pixel must not hang on that.
_SLACK_PX = 1e-6


def _ceil(value: float) -> int:
    return math.ceil(value - _SLACK_PX)


def _floor(value: float) -> int:
    return math.floor(value + _SLACK_PX)
