"""The coarser levels of a layer, each made of the one before, shard by shard."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile, TileGrid
from pipeline.ingest import tiles_near
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace

Method = Literal["mean", "nearest"]


@dataclass(frozen=True, slots=True)
class Halve:
    """Make one level of a group out of the next finer one.

    `mean` averages 2 x 2 pixels (those inside the frame; those that are numbers, for heat maps); `nearest` takes every
    second pixel, for labels.
    """

    group: str
    level: int
    frame: Frame
    """The level that is made."""
    core_px: int
    method: Method
    reach_um: float | None
    """How far from tissue the group holds pixels; None: anywhere."""
    batch_tiles: int = 8

    @property
    def name(self) -> str:
        """One ledger a level: a level is begun when the finer one is complete."""
        return f"pyramid/{self.group or 'image'}/{self.level}"

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles that hold something."""
        grid = TileGrid(self.frame, self.core_px)
        return grid if self.reach_um is None else tiles_near(tissue, self.reach_um, grid)

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Read twice the side, write once."""
        prefix = f"{self.group}/" if self.group else ""
        finer = workspace.store.layer(f"{prefix}{self.level - 1}")
        coarser = workspace.store.layer(f"{prefix}{self.level}")
        halve = halve_mean if self.method == "mean" else halve_nearest
        for tile in tiles:
            coarser.write(tile.core, halve(finer.read(_inside(finer.frame, tile.core.times(2)))))
        return None


def _inside(frame: Frame, box: Box) -> Box:
    return frame.box.clip(box)


def halve_nearest(pixels: NDArray[Any]) -> NDArray[Any]:
    """Every second pixel of a (y, x, ...) array, beginning with the first."""
    return pixels[::2, ::2]


def halve_mean(pixels: NDArray[Any]) -> NDArray[Any]:
    """The mean of each 2 x 2 pixels of a (y, x, c) array; of fewer at odd edges; NaN left out."""
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    quads = (even[0::2, 0::2], even[0::2, 1::2], even[1::2, 0::2], even[1::2, 1::2])
    if pixels.dtype == np.uint8:
        total = sum(quad.astype(np.uint16) for quad in quads)
        return np.asarray((total + 2) // 4, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is NaN, as it should be
        return np.asarray(np.nanmean(np.stack(quads), axis=0), dtype=pixels.dtype)
