from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import TrainingError
from models.patches_idc import list_idc
from tests.models.examples import tissue
from tests.models.patches_made import request_of, write_image

CLASSES = ("non-IDC", "IDC")


def write_idc(root: Path, patient: str, x: int, y: int, label: int, height: int = 50, width: int = 50) -> Path:
    path = root / f"{patient}/{label}/{patient}_idx5_x{x}_y{y}_class{label}.png"
    return write_image(path, x % 256, height, width)


def test_patches_are_listed_with_their_patient_class_and_place(tmp_path: Path) -> None:
    write_idc(tmp_path, "10253", 1001, 1301, 0)
    write_idc(tmp_path, "8863", 51, 1, 1)
    patches = list_idc(request_of(tmp_path, CLASSES))
    found = [(one.group, one.labels, one.corner_px, one.mpp) for one in patches]
    assert found == [("10253", ("0",), (1301, 1001), 4.0), ("8863", ("1",), (1, 51), 4.0)]


def test_the_second_copy_in_the_archive_is_not_read(tmp_path: Path) -> None:
    write_idc(tmp_path, "10253", 1001, 1301, 0)
    write_idc(tmp_path / "IDC_regular_ps50_idx5", "10253", 1001, 1301, 0)
    assert len(list_idc(request_of(tmp_path, CLASSES))) == 1


def test_patches_at_the_edge_are_continued_and_narrow_ones_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_idc(tmp_path, "1", 1, 1, 0)
    edge = write_idc(tmp_path, "1", 51, 1, 0, 50, 32)
    write_idc(tmp_path, "1", 101, 1, 0, 31, 50)
    Image.fromarray(tissue(50, 32)).save(edge)
    with caplog.at_level(logging.WARNING):
        patches = list_idc(request_of(tmp_path, CLASSES))
    assert "continued to 50 px: 1; narrower than 32 px, left out: 1; of 3" in caplog.text
    (image,) = (one.read() for one in patches if one.name == str(edge))
    assert np.array_equal(image[:, :32], tissue(50, 32))
    assert (image[:, 32:] == image[:, 31:32]).all()
    assert image.shape == (50, 50, 3)


def test_a_name_that_says_something_else_than_its_folders_is_refused(tmp_path: Path) -> None:
    path = write_idc(tmp_path, "1", 1, 1, 0)
    path.rename(path.with_name("1_idx5_x1_y1_class1.png"))
    with pytest.raises(TrainingError, match="the name says patient 1, class 1; the folders 1, 0"):
        list_idc(request_of(tmp_path, CLASSES))


def test_other_names_and_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no <patient>/<0 or 1>"):
        list_idc(request_of(tmp_path, CLASSES))
    write_image(tmp_path / "1/0/a.png", height=50, width=50)
    with pytest.raises(TrainingError, match=r"a\.png: no file name of the IDC set"):
        list_idc(request_of(tmp_path, CLASSES))


def test_an_unreadable_patch_is_named(tmp_path: Path) -> None:
    write_idc(tmp_path, "1", 1, 1, 0).write_text("no image")
    with pytest.raises(TrainingError, match=r"1_idx5_x1_y1_class0\.png: no readable image"):
        list_idc(request_of(tmp_path, CLASSES))
