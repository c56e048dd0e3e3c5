from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import TrainingError
from models.patches_index import list_files, read_index
from tests.models.patches_made import request_of, write_image


def write_index(folder: Path, text: str) -> None:
    (folder / "index.csv").write_text(text)


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


def test_an_index_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"absent/index\.csv: cannot be read"):
        list_files(request_of(tmp_path / "absent"))
