"""Ingest: the slide's own pixels, once, into the store; every later stage reads the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.geometry import Frame
from pipeline.grid import Tile, TileGrid
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace


def tiles_near(tissue: TissueMask, reach_um: float, grid: TileGrid) -> Iterable[Tile]:
    """The tiles whose cores come within reach_um of tissue, in reading order."""
    near = tissue.dilated(reach_um) if reach_um > 0 else tissue
    held = near.touches_cores(grid.frame, grid.core_px)
    return (grid.tile(row, col) for row, col in np.argwhere(held).tolist())


@dataclass(frozen=True, slots=True)
class Ingest:
    """Write the slide's RGB and the tissue mask, pixel for pixel, as far around tissue as any later stage looks."""

    frame: Frame
    core_px: int
    reach_um: float
    name: str = "ingest"
    batch_tiles: int = 8

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles within reach of tissue."""
        return tiles_near(tissue, self.reach_um, TileGrid(self.frame, self.core_px))

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Copy cores from the slide, and draw the mask beside them."""
        image, mask = workspace.store.layer("0"), workspace.store.layer("labels/tissue/0")
        for tile in tiles:
            image.write(tile.core, workspace.base.read(tile.core))
            mask.write(tile.core, workspace.tissue.crop(tile.core, self.frame))
        return None
