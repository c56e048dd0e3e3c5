"""Super-resolution of a slide, tile by tile, and where it departs from what the scanner saw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry import Frame
from pipeline.grid import Tile, TileGrid
from pipeline.predicting import predict_tiles
from pipeline.stage import Network
from pipeline.stitch import Block, block_table
from pipeline.tissue import TissueMask
from pipeline.trimming import trimmed_tiles
from pipeline.workspace import Workspace, predictor

REDUCED_FROM_PX = 3
"""How far away, in px of what is read, what a pixel is reduced from may lie: bicubic kernels end 2 px off."""


@dataclass(frozen=True, slots=True)
class SuperResolve:
    """Write `sr/0` from `0`. Its rows are blocks of the consistency map (see `inconsistency`)."""

    frame: Frame
    """The frame that is read; the one written has pixels network.scale times finer."""
    network: Network
    core_px: int
    """Side of a core in the frame that is read."""
    reach_um: float
    cell_px: int
    """Side of a cell of the consistency map in pixels of the frame that is read."""
    name: str = "super-resolution"
    batch_tiles: int = 4

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles within reach of tissue, without what is not, in whole cells of the consistency map."""
        unit_px = math.lcm(self.network.stride_px, self.cell_px)
        return trimmed_tiles(tissue, self.reach_um, self._grid, unit_px)

    @property
    def _grid(self) -> TileGrid:
        return TileGrid(self.frame, self.core_px, self.network.halo_px)

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        """Super-resolve what is read, write what is owned; what is trimmed off stays white."""
        store, scale = workspace.store, self.network.scale
        finer = store.layer("sr/0")
        blocks = []
        for tile, seen, guessed in predict_tiles(predictor(self.network.load), store.layer("0"), tiles):
            owned = tile.core.relative_to(tile.read)
            whole = self._grid.tile(tile.row, tile.col).core.times(scale)
            core = np.full((*whole.shape, 3), finer.fill, np.uint8)
            core[tile.core.times(scale).relative_to(whole).slices()] = guessed[owned.times(scale).slices()]
            finer.write(whole, core)
            looked_at = owned.grow(REDUCED_FROM_PX).clip(tile.read.relative_to(tile.read))
            differing = inconsistency(seen[looked_at.slices()], guessed[looked_at.times(scale).slices()])
            cells = block_rms(differing[owned.relative_to(looked_at).slices()], self.cell_px)
            blocks.append(Block(tile.core.over(self.cell_px), cells[..., np.newaxis]))
        return block_table(blocks)


def inconsistency(seen: NDArray[np.uint8], guessed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far a super-resolved picture (s*y, s*x, 3), reduced again, is from the one it was made of (y, x, 3).

    Per pixel of the latter: the root mean square over the colours, 0 for none and 1 for black against white. The
    reduction is the antialiased bicubic one that the networks were trained with.
    """
    height, width = seen.shape[:2]
    reduced = np.asarray(Image.fromarray(guessed).resize((width, height), Image.Resampling.BICUBIC))
    squares = np.zeros((height, width), np.int32)
    for channel in range(3):
        difference = np.subtract(reduced[..., channel], seen[..., channel], dtype=np.int32)
        squares += difference * difference
    return np.asarray(np.sqrt(squares / np.float32(3 * 255**2)), dtype=np.float32)


def block_rms(values: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """The root mean square of (y, x) values over squares of side_px; over what there is of them at the far edges."""
    height, width = values.shape
    padded = np.pad(values**2, ((0, -height % side_px), (0, -width % side_px)), constant_values=np.nan)
    squares = padded.reshape(padded.shape[0] // side_px, side_px, padded.shape[1] // side_px, side_px)
    return np.asarray(np.sqrt(np.nanmean(squares, axis=(1, 3))), dtype=np.float32)
