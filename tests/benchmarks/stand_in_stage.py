"""A stage whose batches are stand-ins: in a module of its own, so that workers find it under one name."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.geometry import Frame
from pipeline.grid import Tile, TileGrid
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace

CORE_PX = 1024


@dataclass(frozen=True, slots=True)
class StandIn:
    """`batches` batches of one tile; each takes `seconds`, one in ten `spread` times that, and holds memory."""

    batches: int
    seconds: float
    spread: float
    hold_mib: int
    name: str = "stand-in"
    batch_tiles: int = 1

    @property
    def frame(self) -> Frame:
        """As many cores as there are batches, in rows of 1,000."""
        return Frame(-(-self.batches // 1000) * CORE_PX, min(self.batches, 1000) * CORE_PX, 0.25)

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """All of them."""
        return TileGrid(self.frame, CORE_PX, 96)

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        """Hold, wait, and find one row."""
        held = np.ones(self.hold_mib * 2**20, np.uint8)
        luck = random.Random(f"{tiles[0].row} {tiles[0].col}").random()
        time.sleep(self.seconds * (self.spread if luck > 0.9 else 1))
        return pa.table({"tiles": [len(tiles)], "held": [len(held)]})
