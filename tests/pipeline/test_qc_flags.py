"""The grid of cells, the map of flags on it, and how masks get onto it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry import Frame
from pipeline.ngff import CHUNK_PX
from pipeline.qc_flags import BLUR, FOLD, LEGEND, PEN, CellGrid, QcMap, spread
from pipeline.tissue import TissueMask
from tests.strategies import frames

CELLS = Frame(4, 6, 16.0)


def a_map() -> QcMap:
    flags = np.zeros(CELLS.shape, np.uint8)
    flags[1, 2], flags[3, 5] = BLUR, PEN
    return QcMap(flags, CELLS)


@given(frames(200_000, st.floats(0.1, 8.0)))
def test_cells_are_whole_pixels_that_cover_the_slide_and_divide_a_chunk(base: Frame) -> None:
    cells = CellGrid.over(base)
    assert CHUNK_PX % cells.side_px == 0
    assert cells.frame.mpp == pytest.approx(base.mpp * cells.side_px)
    for have, want in zip(cells.frame.shape, base.shape, strict=True):
        assert (have - 1) * cells.side_px < want <= have * cells.side_px


@pytest.mark.parametrize(("mpp", "side_px"), [(0.25, 64), (0.5, 32), (0.499, 32), (0.2271, 64), (1.0, 16)])
def test_cells_are_nearly_16_um(mpp: float, side_px: int) -> None:
    assert CellGrid.over(Frame(10_000, 10_000, mpp)).side_px == side_px


def test_of_several_flags_a_cell_holds_the_highest() -> None:
    everywhere = np.ones(CELLS.shape, np.bool_)
    left = np.broadcast_to(np.arange(6) < 3, CELLS.shape)
    flags = QcMap.of({PEN: left, BLUR: everywhere}, CELLS).flags
    assert (flags[:, :3] == PEN).all()
    assert (flags[:, 3:] == BLUR).all()


def test_a_map_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    a_map().save(tmp_path / "flags.npz")
    loaded = QcMap.load(tmp_path / "flags.npz")
    assert loaded.frame == CELLS
    np.testing.assert_array_equal(loaded.flags, a_map().flags)


def test_a_pixel_has_the_flag_of_the_cell_that_holds_its_centre() -> None:
    fine = Frame(128, 192, 0.5)
    drawn = a_map().crop(fine.box, fine)
    assert set(np.unique(drawn)) == {0, BLUR, PEN}
    assert (drawn[32:64, 64:96] == BLUR).all()
    assert int((drawn == BLUR).sum()) == 32 * 32
    coarse = Frame(2, 3, 32.0)
    assert a_map().crop(coarse.box, coarse).shape == (2, 3)


def test_what_is_flagged_is_taken_out_of_a_mask_and_nothing_else() -> None:
    tissue = TissueMask.everything(Frame(128, 192, 0.5))
    left = a_map().without(tissue)
    drawn = left.crop(Frame(128, 192, 0.5).box, Frame(128, 192, 0.5)) == 0
    np.testing.assert_array_equal(drawn, a_map().crop(Frame(128, 192, 0.5).box, Frame(128, 192, 0.5)) > 0)


def test_a_fine_mask_marks_the_cells_that_its_pixels_lie_in() -> None:
    fine = Frame(8, 12, 8.0)
    mask = np.zeros(fine.shape, np.bool_)
    mask[2, 5] = True
    assert np.argwhere(spread(mask, fine, CELLS)).tolist() == [[1, 2]]


def test_a_coarse_mask_marks_every_cell_under_its_pixels() -> None:
    coarse = Frame(2, 3, 32.0)
    mask = np.zeros(coarse.shape, np.bool_)
    mask[0, 1] = True
    assert np.argwhere(spread(mask, coarse, CELLS)).tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]


def test_values_of_the_legend_are_told_apart() -> None:
    for what in ("value", "code", "colour"):
        assert len({getattr(entry, what) for entry in LEGEND}) == len(LEGEND)
    assert [entry.value for entry in LEGEND] == sorted(entry.value for entry in LEGEND)
    assert FOLD in {entry.value for entry in LEGEND}
