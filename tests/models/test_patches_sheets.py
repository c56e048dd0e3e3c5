from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import TrainingError
from models.patches_sheets import SheetPlace, list_sheets
from tests.models.patches_made import request_of

SHEET_HEADER = "sheet,row,column,patient,x,y,label\n"


def write_sheets(folder: Path, rows: str) -> None:
    """Two sheets of 2 x 3 patches of 32 px; the patch at (sheet, row, column) has the value 100, 10, 1 times that."""
    for sheet in range(2):
        values = 100 * sheet + 10 * np.arange(2)[:, np.newaxis] + np.arange(3)
        pixels = values.repeat(32, axis=0).repeat(32, axis=1)[:, :, np.newaxis].repeat(3, axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"sheet_{sheet:02d}.webp", lossless=True)
    (folder / "index.csv").write_text(SHEET_HEADER + rows)


def test_sheets_are_cut_into_the_patches_that_the_index_lists(tmp_path: Path) -> None:
    write_sheets(tmp_path, "1,1,2,9,301,51,1\n0,0,0,8,1,1,0\n0,1,1,8,51,1,0\n")
    patches = list_sheets(request_of(tmp_path, field_px=50))
    pixels = [one.read() for one in patches]
    assert [np.unique(one).tolist() for one in pixels] == [[112], [0], [11]]
    assert {one.shape for one in pixels} == {(32, 32, 3)}
    assert [one.corner_px for one in patches] == [(51, 301), (1, 1), (1, 51)]


@pytest.mark.parametrize("rows", ["0,2,2,9,1,1,1\n", "0,0,4,9,1,1,1\n", "0,0,1,9,1,1,1\n0,1,0,9,1,1,0\n"])
def test_places_that_are_no_raster_on_the_sheets_are_refused(tmp_path: Path, rows: str) -> None:
    write_sheets(tmp_path, rows)
    with pytest.raises(TrainingError, match=r"index\.csv: .* columns, and rows up to \d, are no raster"):
        list_sheets(request_of(tmp_path))


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    write_sheets(tmp_path, "0,a,0,9,1,1,1\n")
    with pytest.raises(TrainingError, match=r"index\.csv: row is 'a' where a whole number is wanted"):
        list_sheets(request_of(tmp_path))
    write_sheets(tmp_path, "0,-1,0,9,1,1,1\n")
    with pytest.raises(TrainingError, match=r"index\.csv: sheet 0, row -1, column 0: they begin at 0"):
        list_sheets(request_of(tmp_path))


def test_a_place_says_where_it_is_and_cuts_that_out() -> None:
    place = SheetPlace(Path("a/sheet_07.webp"), row=1, column=2, side_px=3)
    sheet = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    assert place.name == "sheet_07.webp row 1 column 2"
    np.testing.assert_array_equal(place.cut(sheet), sheet[3:, 6:])
