"""Nuclei per mm2 of tissue as a heat map: centroids are counted, smoothed, and divided by tissue smoothed alike.

The division is the edge correction of Diggle (Applied Statistics 34, 1985): where the kernel reaches beyond the tissue,
or beyond the slide, nuclei are missing and so is the area they could lie on, and the density is not lowered by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile, TileGrid
from pipeline.ingest import tiles_near
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace

Floats = NDArray[np.float64]

DENSITY = "heatmaps/nuclei-density"
DENSITY_CHANNEL = "nuclei per mm2"

# Where a viewer's window ends, the same for all slides so that they compare: epithelium has some thousand nuclei a mm2,
# only lymphoid tissue and the densest tumours have more than this. What is stored is not cut off there.
DENSITY_END = 10_000.0

# A Gaussian weighs as many nuclei as lie in 4 pi sigma^2, here 0.031 mm2: 100 at 3,000 a mm2, so that counting noise is
# 10 %. Half as wide it would be 20 %; twice as wide, glands and follicles of 200 um would fade.
SIGMA_UM = 50.0

# Where the Gaussian ends, in standard deviations; 0.006 % of a one-dimensional one lies beyond.
_TRUNCATE = 4.0

_Y, _X = "centroid_y_level0_px", "centroid_x_level0_px"


@dataclass(frozen=True, slots=True)
class MapDensity:
    """Fill the finest level of the density map from nuclei.parquet; pixels without tissue stay NaN.

    Counts are whole numbers and every core sees as far as the Gaussian does, so that a pixel has the same bits in cores
    of any size. In memory are one core with its halo and the centroids of the nuclei in it.
    """

    frame: Frame
    """The map's finest level."""
    level0: Frame
    core_px: int
    sigma_um: float = SIGMA_UM
    name: str = "nuclei-density"
    batch_tiles: int = 8

    @property
    def halo_px(self) -> int:
        """How far the Gaussian reaches."""
        return math.ceil(_TRUNCATE * self.sigma_um / self.frame.mpp)

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Tiles whose cores hold tissue."""
        return tiles_near(tissue, 0, TileGrid(self.frame, self.core_px, self.halo_px))

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Count, smooth and write cores one after another."""
        layer = workspace.store.layer(f"{DENSITY}/0")
        for tile in tiles:
            counts = count_centroids(workspace.nuclei_path, tile.read, self.frame, self.level0)
            tissue = tissue_share(workspace.tissue, tile.read, self.frame, self.level0)
            density = self.per_mm2(counts, tissue)[tile.core.relative_to(tile.read).slices()]
            layer.write(tile.core, density[..., np.newaxis])
        return None

    def per_mm2(self, counts: NDArray[np.int64], tissue: Floats) -> NDArray[np.float32]:
        """Nuclei per mm2 of tissue, (y, x), from the nuclei in each pixel and the share of it that is tissue."""
        nuclei, area_px = self._smooth(counts.astype(np.float64)), self._smooth(tissue)
        nowhere = np.full(tissue.shape, np.nan)
        per_px = np.divide(nuclei, area_px, out=nowhere, where=tissue > 0)
        return np.asarray(per_px * (1e6 / self.frame.mpp**2), np.float32)

    def _smooth(self, values: Floats) -> Floats:
        sigma_px = self.sigma_um / self.frame.mpp
        smoothed: Floats = ndimage.gaussian_filter(values, sigma_px, mode="constant", radius=self.halo_px)
        return smoothed


def count_centroids(path: Path, box: Box, frame: Frame, level0: Frame) -> NDArray[np.int64]:
    """How many centroids of a nuclei.parquet lie in each pixel, (y, x), of a box of `frame`.

    Groups of rows that lie wholly above or below are not read.
    """
    near = level0.cover(box, frame).grow(1)  # a px more than rounding can miss
    import pyarrow.compute as pc  # slow to import, and of no use to a run that begins

    y, x = pc.field(_Y), pc.field(_X)
    inside = (y >= near.y) & (y <= near.y_end) & (x >= near.x) & (x <= near.x_end)
    table = pq.read_table(path, columns=[_Y, _X], filters=inside, use_threads=False)
    ratio = frame.pixels_per(level0)
    rows, columns = (
        np.minimum(table[name].to_numpy() * ratio, side - 1).astype(np.int64)
        for name, side in zip((_Y, _X), frame.shape, strict=True)
    )
    owned = (box.y <= rows) & (rows < box.y_end) & (box.x <= columns) & (columns < box.x_end)
    place = (rows[owned] - box.y) * box.width + columns[owned] - box.x
    return np.bincount(place, minlength=box.area_px).reshape(box.shape)


def tissue_share(tissue: TissueMask, box: Box, frame: Frame, level0: Frame) -> Floats:
    """The share, 0 to 1, of each pixel, (y, x), of a box of `frame` that is tissue and lies on the slide.

    The mask is looked up at points no farther apart than its own pixels.
    """
    points = math.ceil(frame.mpp / tissue.frame.mpp)
    drawn = tissue.crop(box.times(points), frame.finer(points))
    share = drawn.reshape(box.height, points, box.width, points).mean(axis=(1, 3))
    ratio = frame.pixels_per(level0)  # the frame's last pixels may overhang the slide
    rows = np.clip(level0.height * ratio - np.arange(box.y, box.y_end), 0, 1)
    columns = np.clip(level0.width * ratio - np.arange(box.x, box.x_end), 0, 1)
    return np.asarray(share * np.outer(rows, columns))
