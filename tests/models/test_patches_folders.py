from __future__ import annotations

from pathlib import Path

import pytest

from models.data import patient_of
from models.errors import TrainingError
from models.patches_folders import list_folders
from tests.models.patches_made import request_of, write_image


def test_a_folder_is_a_class_and_what_lies_below_it_its_patches(tmp_path: Path) -> None:
    write_image(tmp_path / "benign/P1_a.png", 1)
    write_image(tmp_path / "malignant/P2/b.tif", 2)
    write_image(tmp_path / "malignant/P2/c.bmp", 3)
    (tmp_path / "malignant/notes.txt").touch()
    patches = list_folders(request_of(tmp_path))
    found = [(one.labels, one.group, one.read()[0, 0, 0]) for one in patches]
    assert found == [(("benign",), "P1_a", 1), (("malignant",), "P2/b", 2), (("malignant",), "P2/c", 3)]
    assert {patient_of(one.group, r"(P\d+)") for one in patches} == {"P1", "P2"}


def test_hidden_files_and_the_doubles_of_macos_are_left_alone(tmp_path: Path) -> None:
    write_image(tmp_path / "benign/a.png")
    write_image(tmp_path / "benign/._a.png")
    write_image(tmp_path / "benign/__MACOSX/a.png")
    write_image(tmp_path / "__MACOSX/b.png")
    assert [Path(one.name).name for one in list_folders(request_of(tmp_path))] == ["a.png"]


def test_without_folders_the_classes_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no folders in it\nGive it a folder for each class: benign, malignant"):
        list_folders(request_of(tmp_path))
    with pytest.raises(TrainingError, match=r"absent: cannot be read"):
        list_folders(request_of(tmp_path / "absent"))
