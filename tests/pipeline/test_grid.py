import numpy as np
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
    assert len([tile for tile in grid if tile.core.contains(y, x)]) == 1


@given(grids, st.integers(0, 99), st.integers(-50, 350), st.integers(-50, 350), st.integers(0, 200), st.integers(1, 64))
def test_a_trimmed_tile_holds_what_is_wanted_of_its_core_and_sees_as_far(
    grid: TileGrid, number: int, y: int, x: int, side: int, step_px: int
) -> None:
    tiles, wanted = list(grid), Box(max(0, y), max(0, x), side, side)
    whole = tiles[number % len(tiles)]
    trimmed = grid.trimmed(whole, wanted, step_px)
    assert whole.core.encloses(trimmed.core)
    assert trimmed.core.encloses(whole.core.clip(wanted)) or not whole.core.clip(wanted).area_px
    assert trimmed.read == grid.frame.box.clip(trimmed.core.grow(grid.halo_px))
    assert (trimmed.row, trimmed.col) == (whole.row, whole.col)
    for cut, own in ((trimmed.core.y, whole.core.y), (trimmed.core.x, whole.core.x)):
        assert cut == own or cut % step_px == 0
    spare = trimmed.core.height - whole.core.clip(wanted).height
    assert spare < 2 * step_px
