import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid

grids = st.builds(
    TileGrid,
    st.builds(Frame, st.integers(1, 300), st.integers(1, 300), st.just(0.25)),
    core_px=st.integers(17, 120),
    halo_px=st.integers(0, 60),
)


@given(grids)
def test_cores_partition_the_frame(grid: TileGrid) -> None:
    owners = np.zeros(grid.frame.shape, int)
    for tile in grid:
        owners[tile.core.slices()] += 1
    assert (owners == 1).all()
    assert len(list(grid)) == len(grid)


@given(grids)
def test_a_read_holds_its_core_and_the_halo_as_far_as_the_frame_goes(grid: TileGrid) -> None:
    for tile in grid:
        assert tile.read == grid.frame.box.clip(tile.core.grow(grid.halo_px))
        assert tile.read.encloses(tile.core)


@given(grids, st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_point_has_one_owner(grid: TileGrid, down: float, right: float) -> None:
    y, x = down * grid.frame.height, right * grid.frame.width
    assert [tile for tile in grid if tile.core.contains(y, x)] == [grid.owner(y, x)]


@given(grids, st.integers(-50, 350), st.integers(-50, 350), st.integers(0, 200), st.integers(0, 200))
def test_covering_finds_the_tiles_that_share_a_pixel(grid: TileGrid, y: int, x: int, height: int, width: int) -> None:
    box = Box(y, x, height, width)
    assert list(grid.covering(box)) == [tile for tile in grid if tile.core.intersects(box)]


def test_a_point_outside_has_no_owner() -> None:
    with pytest.raises(ValueError, match="outside a frame"):
        TileGrid(Frame(10, 10, 1.0), 4).owner(10, 0)
