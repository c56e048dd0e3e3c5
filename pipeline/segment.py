"""Nuclei of a slide, tile by tile: each belongs to the tile whose core holds its centroid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile, TileGrid
from pipeline.ingest import tiles_near
from pipeline.nuclei import owned_nuclei
from pipeline.nuclei_instances import NotProbabilities, NucleiParameters
from pipeline.nuclei_table import NucleiIndex, draw_labels
from pipeline.predicting import predict_tiles
from pipeline.stage import Network
from pipeline.tissue import TissueMask
from pipeline.trimming import trimmed_tiles
from pipeline.workspace import Workspace, file_stamp, predictor


@dataclass(frozen=True, slots=True)
class Segment:
    """Find the nuclei whose centroids lie in tissue. Rows alone; the label image is drawn from them."""

    layer: str
    """Path of the layer that is read."""
    frame: Frame
    level0: Frame
    network: Network
    core_px: int
    halo_px: int
    """The network's halo plus what a nucleus owned by a core may reach beyond it."""
    name: str = "nuclei"
    batch_tiles: int = 4

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles whose cores may hold a centroid in tissue, without what no such centroid depends on."""
        return trimmed_tiles(tissue, 0, TileGrid(self.frame, self.core_px, self.halo_px), self.network.stride_px)

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        """Predict what is read, keep the nuclei that are owned."""
        tissue = workspace.tissue
        parameters = NucleiParameters.from_card(self.network.postprocessing)

        def in_tissue(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
            return tissue.contains(y, x, self.frame)

        source = workspace.store.layer(self.layer)
        try:
            return pa.concat_tables(
                owned_nuclei(probabilities, pixels, tile, self.frame, self.level0, in_tissue, parameters)
                for tile, pixels, probabilities in predict_tiles(predictor(self.network.load), source, tiles)
            )
        except NotProbabilities as error:
            what = f"{workspace.slide.path.name}: {self.network.name}: {error.what}"
            raise NotProbabilities(what, error.cure) from error


@lru_cache(maxsize=1)
def _index(path: Path, stamp: tuple[int, int]) -> NucleiIndex:
    """One for all threads of a process: each of its own would hold the same groups of rows."""
    return NucleiIndex.open(path)


@dataclass(frozen=True, slots=True)
class DrawNuclei:
    """Draw the label image from the table: a pixel holds the row number (from 1) of the polygon around its centre."""

    group: str
    frame: Frame
    level0: Frame
    core_px: int
    reach_um: float
    """No nucleus reaches further from its centroid."""
    name: str = "nuclei-labels"
    batch_tiles: int = 8

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles that a nucleus with its centroid in tissue may reach."""
        return tiles_near(tissue, self.reach_um, TileGrid(self.frame, self.core_px))

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Draw cores one after another."""
        layer = workspace.store.layer(f"{self.group}/0")
        index = _index(workspace.nuclei_path, file_stamp(workspace.nuclei_path))
        for tile in tiles:
            geometry, numbers = index.touching(self.level0_box(tile.core))
            if len(numbers):
                layer.write(tile.core, draw_labels(geometry, numbers, tile.core, self.frame, self.level0))
        return None

    def level0_box(self, core: Box) -> Box:
        """The level-0 pixels that touch a core."""
        return self.level0.cover(core, self.frame)
