"""The stages of quality control: cells are measured tile by tile; once judged, flags are drawn tile by tile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.density import tissue_share
from pipeline.geometry import Frame
from pipeline.grid import Tile, TileGrid
from pipeline.ingest import tiles_near
from pipeline.qc_flags import QC_LABELS, CellGrid, QcMap
from pipeline.qc_measure import HALO_PX, measure
from pipeline.stitch import Block, block_table
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace

# Where nuclei show whether they are sharp, and pixels are a quarter of those of 0.25 um.
INSPECTED_MPP = 0.5

# Of a tile, in pixels of the level that is inspected: of no consequence to any result.
_CORE_PX = 1024


@dataclass(frozen=True, slots=True)
class Inspect:
    """Measure every cell that touches tissue. Its rows are blocks of measures, a pixel a cell."""

    layer: str
    """Path of the level that is read."""
    frame: Frame
    cells: CellGrid
    cell_px: int
    """Side of a cell in pixels of the level that is read."""
    white: tuple[float, float, float]
    core_px: int = _CORE_PX
    name: str = "quality"
    batch_tiles: int = 4

    @property
    def reach_um(self) -> float:
        """How far from tissue pixels have a part in what is measured."""
        return self.cells.frame.mpp + HALO_PX * self.frame.mpp

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles whose cores hold tissue."""
        return tiles_near(tissue, 0, TileGrid(self.frame, self.core_px, HALO_PX))

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        """Measure cores; cells without tissue, which may lie where nothing was written, stay NaN."""
        layer = workspace.store.layer(self.layer)
        blocks = []
        for tile in tiles:
            read = self.frame.box.clip(tile.read)
            values = measure(layer.read(read), tile.core.relative_to(read).slices(), self.cell_px, self.white)
            box = tile.core.over(self.cell_px)
            touched = tissue_share(workspace.tissue, box, self.cells.frame, self.cells.frame) > 0
            blocks.append(Block(box, np.where(touched[..., np.newaxis], values, np.float32(np.nan))))
        return block_table(blocks)


@dataclass(frozen=True, slots=True)
class DrawFlags:
    """Draw one level of the label image from the map of flags, where it holds any."""

    frame: Frame
    level: int
    core_px: int
    batch_tiles: int = 8

    @property
    def name(self) -> str:
        """One ledger a level."""
        return f"quality-labels/{self.level}"

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles that touch what is in the mask: here that of the flagged cells."""
        return tiles_near(tissue, 0, TileGrid(self.frame, self.core_px))

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Draw cores one after another."""
        flags = QcMap.load(workspace.flags_path)
        layer = workspace.store.layer(f"{QC_LABELS}/{self.level}")
        for tile in tiles:
            layer.write(tile.core, flags.crop(tile.core, self.frame))
        return None
