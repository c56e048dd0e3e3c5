"""Tiles that a network sees, without what no result depends on: cores on the edge of tissue are cut to their tissue."""

from __future__ import annotations

import math

from pipeline.grid import Tile, TileGrid
from pipeline.ingest import near, tiles_near
from pipeline.tissue import TissueMask

# Cores are cut at eighths of their side. Finer cuts leave one per cent fewer pixels, but tiles of more sizes, each of
# which takes kernels of its own and a place of its own in memory (docs/explanation/performance.md).
_CUTS = 8


def trimmed_tiles(tissue: TissueMask, reach_um: float, grid: TileGrid, unit_px: int = 1) -> list[Tile]:
    """The tiles whose cores come within reach_um of tissue, cut to the box of what does, on multiples of unit_px.

    The largest first: memory that one took then suffices for the next, and a stage ends with short ones.
    """
    worth, step_px = near(tissue, reach_um), trim_px(grid.core_px, unit_px)
    tiles = (
        grid.trimmed(tile, worth.hull(tile.core, grid.frame), step_px) for tile in tiles_near(tissue, reach_um, grid)
    )
    return sorted(tiles, key=lambda tile: (tile.read.area_px, tile.read.height), reverse=True)


def trim_px(core_px: int, unit_px: int) -> int:
    """What cores of core_px are cut at multiples of."""
    return math.lcm(max(1, core_px // _CUTS), unit_px)
