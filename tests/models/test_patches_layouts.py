from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import TrainingError
from models.patches_layouts import LAYOUTS, list_patches
from tests.models.patches_made import request_of, write_image


def test_the_kind_decides_what_is_listed(tmp_path: Path) -> None:
    write_image(tmp_path / "benign/SOB_B_TA-14-3411F-40-001.png")
    assert list_patches(request_of(tmp_path, kind="folders"))[0].group == "SOB_B_TA-14-3411F-40-001"
    assert list_patches(request_of(tmp_path, kind="breakhis"))[0].group == "3411"
    with pytest.raises(TrainingError, match="no images at 400x"):
        list_patches(request_of(tmp_path, kind="breakhis-400x"))


def test_an_unknown_kind_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"set: no kind 'painting' of patches\nTake one of files, sheets, folders"):
        list_patches(request_of(tmp_path, kind="painting"))


@pytest.mark.parametrize("kind", [kind for kind in LAYOUTS if kind != "annotations"])
def test_only_slides_have_a_slide_mpp(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TrainingError, match=f"set: slide_mpp is a slide's, and kind '{kind}' reads images"):
        list_patches(request_of(tmp_path, kind=kind, slide_mpp=0.25))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_folder_that_is_not_there_is_an_error_of_two_lines(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TrainingError, match=str(tmp_path / "absent")) as error:
        list_patches(request_of(tmp_path / "absent", kind=kind))
    assert str(error.value).count("\n") == 1


def test_a_folder_without_patches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benign").mkdir()
    with pytest.raises(TrainingError, match="no patches in it"):
        list_patches(request_of(tmp_path, kind="folders"))
