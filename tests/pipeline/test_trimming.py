from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry import Frame
from pipeline.grid import TileGrid
from pipeline.ingest import tiles_near
from pipeline.tissue import TissueMask
from pipeline.trimming import trim_px, trimmed_tiles

FRAME = Frame(1100, 1300, 0.5)
COARSE = Frame(69, 82, 8.0)


@st.composite
def masks(draw: st.DrawFn) -> TissueMask:
    mask = np.zeros(COARSE.shape, np.bool_)
    for _ in range(draw(st.integers(1, 4))):
        y, x = draw(st.integers(0, COARSE.height - 1)), draw(st.integers(0, COARSE.width - 1))
        mask[y : y + draw(st.integers(1, 30)), x : x + draw(st.integers(1, 30))] = True
    return TissueMask(mask, COARSE)


grids = st.builds(TileGrid, st.just(FRAME), st.sampled_from([256, 512]), st.sampled_from([0, 48]))


@given(masks(), grids, st.sampled_from([0.0, 20.0]))
def test_what_is_near_tissue_stays(tissue: TissueMask, grid: TileGrid, reach_um: float) -> None:
    kept = np.zeros(FRAME.shape, np.bool_)
    for tile in trimmed_tiles(tissue, reach_um, grid):
        kept[tile.core.slices()] = True
        assert tile.read == FRAME.box.clip(tile.core.grow(grid.halo_px))
    assert kept[tissue.dilated(reach_um).crop(FRAME.box, FRAME) > 0].all()


@given(masks(), grids)
def test_each_tile_near_tissue_is_there_once_with_a_part_of_its_core(tissue: TissueMask, grid: TileGrid) -> None:
    whole = {(tile.row, tile.col): tile.core for tile in tiles_near(tissue, 0, grid)}
    trimmed = trimmed_tiles(tissue, 0, grid)
    assert sorted((tile.row, tile.col) for tile in trimmed) == sorted(whole)
    assert all(whole[tile.row, tile.col].encloses(tile.core) for tile in trimmed)


@given(masks(), grids, st.sampled_from([1, 24]))
def test_cuts_lie_on_few_places_that_suit_the_network(tissue: TissueMask, grid: TileGrid, unit_px: int) -> None:
    step_px = trim_px(grid.core_px, unit_px)
    assert step_px % unit_px == 0
    assert step_px >= grid.core_px // 8
    for tile in trimmed_tiles(tissue, 0, grid, unit_px):
        whole = grid.tile(tile.row, tile.col).core
        for cut, end in ((tile.core.y, whole.y), (tile.core.x, whole.x)):
            assert cut == end or cut % step_px == 0
        for cut, end in ((tile.core.y_end, whole.y_end), (tile.core.x_end, whole.x_end)):
            assert cut == end or cut % step_px == 0


@given(masks(), grids)
def test_large_tiles_come_first_and_those_of_one_shape_together(tissue: TissueMask, grid: TileGrid) -> None:
    shapes = [tile.read.shape for tile in trimmed_tiles(tissue, 0, grid)]
    areas = [height * width for height, width in shapes]
    assert areas == sorted(areas, reverse=True)
    changes = sum(one != other for one, other in pairwise(shapes))
    assert changes == len(set(shapes)) - 1


def test_tiles_inside_tissue_are_whole_and_in_reading_order() -> None:
    grid = TileGrid(Frame(1024, 1024, 0.5), 256, 32)
    tiles = trimmed_tiles(TissueMask.everything(grid.frame), 0, grid)
    assert {tile.core for tile in tiles} == {tile.core for tile in grid}
    alike = [(tile.row, tile.col) for tile in tiles if tile.read.shape == (320, 320)]
    assert alike == [(1, 1), (1, 2), (2, 1), (2, 2)]
    corners = [(tile.row, tile.col) for tile in tiles[-4:]]
    assert corners == [(0, 0), (0, 3), (3, 0), (3, 3)]
