"""The coarser levels of a layer, each made of the one before, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile, TileGrid
from pipeline.halving import halve_labels, halve_mean
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
    batch_tiles: int = 4

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
            coarser.write(tile.core, halve(finer.look(_inside(finer.frame, tile.core.times(2)))))
        return None


def _inside(frame: Frame, box: Box) -> Box:
    return frame.box.clip(box)
