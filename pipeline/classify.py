"""Patch classification: one row a patch, on a grid that depends on the slide's frame alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile, TileGrid
from pipeline.ingest import tiles_near
from pipeline.stage import Network
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace, predictor

# A patch is judged when at least this share of it is tissue.
LEAST_TISSUE = 0.5

# Patches in memory at once: 256 of 224 px are 37 MB.
_CUT_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Classify:
    """Judge the square patches whose first corners lie on multiples of stride_px."""

    layer: str
    """Path of the layer that is read."""
    frame: Frame
    level0: Frame
    network: Network
    core_px: int
    stride_px: int
    batch_tiles: int = 4

    @property
    def name(self) -> str:
        """One ledger a classifier."""
        return f"classification/{self.network.name}"

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles in which a patch with enough tissue may begin."""
        grid = TileGrid(self.frame, self.core_px, self.network.field_px)
        return tiles_near(tissue, self.network.field_px * self.frame.mpp, grid)

    def patches(self, core: Box, tissue: TissueMask) -> Iterator[Box]:
        """The patches that a core owns, by their first corners, in reading order; they may overhang the frame."""
        stride, side = self.stride_px, self.network.field_px
        for y in range(-(-core.y // stride) * stride, core.y_end, stride):
            for x in range(-(-core.x // stride) * stride, core.x_end, stride):
                patch = Box(y, x, side, side)
                if tissue.share(patch, self.frame) >= LEAST_TISSUE:
                    yield patch

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        """Read what a tile's patches span once, cut them out, judge them."""
        layer = workspace.store.layer(self.layer)
        judge = predictor(self.network.load)
        boxes: list[Box] = []
        probabilities = []
        for tile in tiles:
            owned = list(self.patches(tile.core, workspace.tissue))
            if not owned:
                continue
            spanned = _span(owned)
            pixels = layer.read(spanned)
            for start in range(0, len(owned), _CUT_AT_ONCE):
                cut = [pixels[patch.relative_to(spanned).slices()] for patch in owned[start : start + _CUT_AT_ONCE]]
                probabilities.append(judge(np.stack(cut)))
            boxes += owned
        return self._table(boxes, np.concatenate(probabilities) if probabilities else None)

    def _table(self, boxes: Sequence[Box], probabilities: NDArray[np.float32] | None) -> pa.Table:
        ratio = self.frame.mpp / self.level0.mpp
        columns: dict[str, pa.Array] = {
            "classifier": pa.array([self.network.name] * len(boxes), pa.string()),
            "x_level0_px": pa.array([box.x * ratio for box in boxes], pa.float64()),
            "y_level0_px": pa.array([box.y * ratio for box in boxes], pa.float64()),
            "size_level0_px": pa.array([box.width * ratio for box in boxes], pa.float64()),
        }
        for index, label in enumerate(self.network.classes):
            values = np.empty(0) if probabilities is None else probabilities[:, index]
            columns[f"p_{label}"] = pa.array(values, pa.float32())
        return pa.table(columns)


def _span(boxes: Sequence[Box]) -> Box:
    """The smallest box that encloses all of them."""
    y, x = min(box.y for box in boxes), min(box.x for box in boxes)
    return Box(y, x, max(box.y_end for box in boxes) - y, max(box.x_end for box in boxes) - x)
