from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import TrainingError
from models.patches_index import list_files, list_sheets, read_index
from tests.models.patches_made import request_of, write_image

SHEET_HEADER = "sheet,row,column,patient,x,y,label\n"


def write_index(folder: Path, text: str) -> None:
    (folder / "index.csv").write_text(text)


def write_sheets(folder: Path, rows: str) -> None:
    """Two sheets of 2 x 3 patches of 32 px; the patch at (sheet, row, column) has the value 100, 10, 1 times that."""
    for sheet in range(2):
        values = 100 * sheet + 10 * np.arange(2)[:, np.newaxis] + np.arange(3)
        pixels = values.repeat(32, axis=0).repeat(32, axis=1)[:, :, np.newaxis].repeat(3, axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"sheet_{sheet:02d}.webp", lossless=True)
    write_index(folder, SHEET_HEADER + rows)


def test_files_are_listed_in_the_order_of_the_index_with_their_places(tmp_path: Path) -> None:
    write_image(tmp_path / "b/2.png", 2)
    write_image(tmp_path / "1.png", 1)
    write_index(tmp_path, "\ufefffile,patient,label,x,y\nb/2.png,p2,malignant,10,20\n1.png,p1,benign,,\n")
    patches = list_files(request_of(tmp_path, mpp=4.0))
    assert [one.read()[0, 0, 0] for one in patches] == [2, 1]
    assert [one.group for one in patches] == ["p2", "p1"]
    assert [one.labels for one in patches] == [("malignant",), ("benign",)]
    assert [one.corner_px for one in patches] == [(20, 10), None]


def test_files_may_lie_in_a_folder_of_images(tmp_path: Path) -> None:
    write_image(tmp_path / "images/1.png", 1)
    write_index(tmp_path, "file,patient,label\n1.png,p1,benign\n")
    assert list_files(request_of(tmp_path))[0].read()[0, 0, 0] == 1


def test_a_label_for_a_missing_file_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    write_index(tmp_path, "file,patient,label\n1.png,p1,benign\n2.png,p2,benign\n")
    with pytest.raises(TrainingError, match=r"index\.csv: labels 1 files that are not there \(2\.png\)\nCopy"):
        list_files(request_of(tmp_path))


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


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("file,patient\n1.png,p\n", "no column label; it has file, patient"),
        ("file,patient,label\n", "no rows in it"),
        ("", "no rows in it"),
        ("file,patient,label\n1.png,p\n", "line 2 is not filled in"),
        ("file,patient,label\n1.png,,benign\n", "line 2 is not filled in"),
    ],
)
def test_an_index_that_lacks_something_is_named(tmp_path: Path, text: str, what: str) -> None:
    write_index(tmp_path, text)
    with pytest.raises(TrainingError, match=rf"index\.csv: {what}") as error:
        read_index(tmp_path / "index.csv", {"file", "patient", "label"})
    assert str(error.value).count("\n") == 1


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    write_sheets(tmp_path, "0,a,0,9,1,1,1\n")
    with pytest.raises(TrainingError, match=r"index\.csv: row is 'a' where a whole number is wanted"):
        list_sheets(request_of(tmp_path))
    write_sheets(tmp_path, "0,-1,0,9,1,1,1\n")
    with pytest.raises(TrainingError, match=r"index\.csv: sheet 0, row -1, column 0: they begin at 0"):
        list_sheets(request_of(tmp_path))
    with pytest.raises(TrainingError, match=r"absent/index\.csv: cannot be read"):
        list_files(request_of(tmp_path / "absent"))
