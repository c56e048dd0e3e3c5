"""Fold judged patches into a heat map: each pixel is the mean of the patches that cover it, weighed by their nearness.

A probability is about a patch as a whole, so it is said at the patch's centre and counts less toward its edges: by the
product of two triangular windows. Where patches overlap by half, the weights of all add up to the same everywhere, and
the map goes linearly from each centre to the next; where they do not overlap, it is each patch's own probability. Why
triangles and not a plain mean: docs/explanation/heatmaps.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from pipeline.geometry import Box, Frame
from pipeline.store import Layer

Floats = NDArray[np.float64]

# A window's share of a pixel that is due to rounding alone: an edge that should lie between two pixels and misses by a
# hair. The least true share, of the outermost pixel of a patch of 8,192 px, is 1e-4.
_LEAST_WEIGHT = 1e-9


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """Judged patches in their places; patch (j, k) has its first corner at (j, k) x stride_px of a heat map's frame."""

    values: NDArray[np.float32]
    """(rows, columns, classes); NaN where no patch was judged."""
    stride_px: float
    """Between corners of neighbours, in px of the heat map; need not be whole."""
    side_px: float
    """Of a patch, in px of the heat map; need not be whole."""

    def over(self, box: Box) -> NDArray[np.float32]:
        """The heat map over a box of its frame, (y, x, classes); NaN where no patch lies.

        Sums run in the order of the grid, so that a pixel has the same bits in boxes of any size.
        """
        down, rows = self._weights(box.y, box.height, self.values.shape[0])
        across, columns = self._weights(box.x, box.width, self.values.shape[1])
        patches = self.values[rows, columns].astype(np.float64)
        judged = np.isfinite(patches[..., 0])
        weight = down @ judged.astype(np.float64) @ across.T
        folded = np.full((*box.shape, patches.shape[-1]), np.nan, np.float32)
        for index in range(patches.shape[-1]):
            total = down @ np.where(judged, patches[..., index], 0) @ across.T
            np.divide(total, weight, out=folded[..., index], where=weight > 0, casting="same_kind")
        return folded

    def _weights(self, start_px: int, count: int, patches: int) -> tuple[sparse.csr_array, slice]:
        """The window of each patch in each of `count` pixels of one axis, (pixels, patches), and which patches.

        Only those that reach into the pixels are there.
        """
        first = max(0, int((start_px - self.side_px) / self.stride_px))
        last = max(first, min(patches, int((start_px + count) / self.stride_px) + 1))
        corners = np.arange(first, last) * self.stride_px
        edges = (np.arange(start_px, start_px + count + 1)[:, None] - corners) / self.side_px
        weights = np.diff(_triangle_below(edges), axis=0) * self.side_px
        return sparse.csr_array(np.where(weights > _LEAST_WEIGHT, weights, 0)), slice(first, last)


def _triangle_below(place: Floats) -> Floats:
    """The area below `place` under the triangle that rises from 0 at 0 to 1 at 1/2 and falls to 0 at 1."""
    inside = place.clip(0, 1)
    return np.where(inside < 0.5, inside**2, 0.5 - (1 - inside) ** 2)


def lay_grid(
    rows: pa.Table, classes: Sequence[str], stride_level0_px: float, heatmap: Frame, level0: Frame
) -> PatchGrid:
    """Rows of patches.parquet, of one classifier, in their places over the frame of a heat map.

    Corners must lie on multiples of stride_level0_px, as they do where they were laid by `pipeline.classify`.
    """
    ratio = heatmap.pixels_per(level0)
    if not rows.num_rows:
        return PatchGrid(np.empty((0, 0, len(classes)), np.float32), stride_level0_px * ratio, 1.0)
    row, column = (np.rint(rows[f"{axis}_level0_px"].to_numpy() / stride_level0_px).astype(np.int64) for axis in "yx")
    values = np.full((row.max() + 1, column.max() + 1, len(classes)), np.nan, np.float32)
    values[row, column] = np.stack([rows[f"p_{label}"].to_numpy() for label in classes], axis=-1)
    return PatchGrid(values, stride_level0_px * ratio, float(rows["size_level0_px"][0].as_py()) * ratio)


def fold_grid(grid: PatchGrid, layer: Layer, core_px: int) -> None:
    """Write a heat map's finest level; pixels that no patch covers stay NaN. One core is in memory at a time."""
    for core in layer.frame.partition(core_px):
        folded = grid.over(core)
        if np.isfinite(folded).any():
            layer.write(core, folded)
