"""What quality control flags, and a slide's map of it: one flag a cell of about 16 um, asked by box or by point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.durable import whole_or_absent
from pipeline.geometry import Box, Frame
from pipeline.ngff import LegendEntry
from pipeline.tissue import TissueMask

Mask = NDArray[np.bool_]

QC_LABELS = "labels/qc"

OUTSIDE, BLUR, FOLD, DIRT, PEN = 1, 2, 3, 4, 5

LEGEND = (
    LegendEntry(OUTSIDE, "outside", "worked on though no tissue was found there", "94A3B8"),
    LegendEntry(BLUR, "blur", "out of focus", "F59E0B"),
    LegendEntry(FOLD, "fold", "folded or stacked tissue", "8B5CF6"),
    LegendEntry(DIRT, "dirt", "dust, dirt, or the edge of an air bubble or coverslip", "64748B"),
    LegendEntry(PEN, "pen", "marked by a pen", "10B981"),
)
"""Of labels/qc. Where several are true of a cell, it holds the highest."""

# A cell, and how many a slide has at most: above 32 x 32 mm cells become larger.
_CELL_UM = 16.0
_LEAST_CELL_PX = 16
_MOST_CELL_PX = 256
_MOST_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Cells of a whole number of base pixels, a power of two: fixed by the slide's frame, not by any tiling."""

    frame: Frame
    """One pixel a cell."""
    side_px: int
    """Of a cell, in pixels of the base frame."""

    @classmethod
    def over(cls, base: Frame, least_px: int = _LEAST_CELL_PX) -> CellGrid:
        """Cells of nearly 16 um, at least `least_px` base pixels wide, at most a chunk."""
        times = max(round(float(np.log2(_CELL_UM / base.mpp))), round(float(np.log2(least_px))))
        while base.box.area_px / 4**times > _MOST_CELLS:
            times += 1
        side_px = min(2**times, _MOST_CELL_PX)
        height, width = (-(-side // side_px) for side in base.shape)
        return cls(Frame(height, width, base.mpp * side_px), side_px)


@dataclass(frozen=True, eq=False)
class QcMap:
    """One of LEGEND's values, or 0, a cell; (y, x) uint8 on the frame of a `CellGrid`."""

    flags: NDArray[np.uint8]
    frame: Frame

    @classmethod
    def of(cls, found: Mapping[int, Mask], frame: Frame) -> QcMap:
        """The highest of the values whose masks hold a cell."""
        flags = np.zeros(frame.shape, np.uint8)
        for value in sorted(found):
            flags[found[value]] = value
        return cls(flags, frame)

    @classmethod
    def load(cls, path: Path) -> QcMap:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as saved:
            flags = saved["flags"]
            height, width = flags.shape
            return cls(flags, Frame(height, width, float(saved["mpp"])))

    def save(self, path: Path) -> None:
        """Write the map as .npz; the file appears when it is complete."""
        with whole_or_absent(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, flags=self.flags, mpp=self.frame.mpp)

    @property
    def flagged(self) -> TissueMask:
        """Every cell with a flag, whatever it is, with the questions that a mask answers."""
        return TissueMask(self.flags > 0, self.frame)

    def crop(self, box: Box, frame: Frame) -> NDArray[np.uint8]:
        """The flags at the pixels of a box in `frame`, (y, x)."""
        rows, columns = self._cells(box.y, box.y_end, frame, 0), self._cells(box.x, box.x_end, frame, 1)
        return self.flags[np.ix_(rows, columns)]

    def without(self, tissue: TissueMask) -> TissueMask:
        """A mask less what is flagged: what is worked on under `--qc mask`."""
        return TissueMask(tissue.mask & (self.crop(tissue.frame.box, tissue.frame) == 0), tissue.frame)

    def _cells(self, first: int, end: int, frame: Frame, axis: int) -> NDArray[np.int64]:
        """The cells that hold the centres of the pixels first .. end of `frame`."""
        centres = (np.arange(first, end) + 0.5) * self.frame.pixels_per(frame)
        return np.clip(centres.astype(np.int64), 0, self.frame.shape[axis] - 1)


def spread(mask: Mask, frame: Frame, cells: Frame) -> Mask:
    """A mask on any frame of the slide, on cells: a cell holds it when the centre of one of its pixels does.

    Where pixels are larger than cells, it is the pixel at the cell's own centre that counts.
    """
    ratio = cells.pixels_per(frame)
    rows, columns = (
        np.minimum(((np.arange(side) + 0.5) * ratio).astype(np.int64), most - 1)
        for side, most in zip(frame.shape, cells.shape, strict=True)
    )
    held = np.zeros(cells.shape, np.bool_)
    y, x = np.nonzero(mask)
    held[rows[y], columns[x]] = True
    if ratio > 1:
        held |= TissueMask(mask, frame).crop(cells.box, cells) > 0
    return held
