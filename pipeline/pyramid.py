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

Method = Literal["mean", "most"]


@dataclass(frozen=True, slots=True)
class Halve:
    """Make one level of a group out of the next finer one.

    `mean` averages 2 x 2 pixels (those inside the frame; those that are numbers, for heat maps); `most` takes the value
    that most of them have, for labels.
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
        halve = halve_mean if self.method == "mean" else halve_labels
        for tile in tiles:
            coarser.write(tile.core, halve(finer.read(_inside(finer.frame, tile.core.times(2)))))
        return None


def _inside(frame: Frame, box: Box) -> Box:
    return frame.box.clip(box)


def halve_labels(pixels: NDArray[Any]) -> NDArray[Any]:
    """The commonest of each 2 x 2 pixels of a (y, x) array; its first pixel has even indices in its frame.

    Two against two, the larger wins on every second pixel, as on a chessboard: so labels neither drift, as they do when
    every second pixel is kept, nor grow. Of four that all differ, one of the two in the middle is taken.
    """
    a, b, c, d = _quads(pixels)
    low, high = np.minimum(a, b), np.maximum(a, b)
    other_low, other_high = np.minimum(c, d), np.maximum(c, d)
    first, fourth = np.minimum(low, other_low), np.maximum(high, other_high)
    inner_low, inner_high = np.maximum(low, other_low), np.minimum(high, other_high)
    second, third = np.minimum(inner_low, inner_high), np.maximum(inner_low, inner_high)
    black = np.add.outer(np.arange(second.shape[0]), np.arange(second.shape[1])) % 2 == 1
    pair_low, pair_high = first == second, third == fourth
    take_high = (second != third) & pair_high & (~pair_low | black)
    return np.asarray(np.where(take_high, fourth, second))


def _quads(pixels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The four pixels of each 2 x 2 of a (y, x, ...) array; odd edges repeat their last ones."""
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), *((0, 0),) * (pixels.ndim - 2)), mode="edge")
    return even[0::2, 0::2], even[0::2, 1::2], even[1::2, 0::2], even[1::2, 1::2]


def halve_mean(pixels: NDArray[Any]) -> NDArray[Any]:
    """The mean of each 2 x 2 pixels of a (y, x, c) array; of fewer at odd edges; NaN left out."""
    quads = _quads(pixels)
    if pixels.dtype == np.uint8:
        total = sum(quad.astype(np.uint16) for quad in quads)
        return np.asarray((total + 2) // 4, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is NaN, as it should be
        return np.asarray(np.nanmean(np.stack(quads), axis=0), dtype=pixels.dtype)
