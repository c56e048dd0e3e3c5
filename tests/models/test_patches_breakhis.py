from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TrainingError
from models.patches_breakhis import MAGNIFICATION_MPP, TYPES, list_breakhis, parse_breakhis
from tests.models.patches_made import request_of, write_image

NUMBERS = st.integers(1, 99999).map(str)
LETTERS = st.text("ABCDEFG", max_size=2)
MAGNIFICATIONS = st.sampled_from(sorted(MAGNIFICATION_MPP))


@st.composite
def names(draw: st.DrawFn, number: str) -> Path:
    """A file of a slide with this number: any tumour, letters, magnification and image."""
    tumour, kind = draw(st.sampled_from("BM")), draw(st.sampled_from(sorted(TYPES)))
    image = draw(st.integers(1, 60))
    return Path(f"SOB_{tumour}_{kind}-14-{number}{draw(LETTERS)}-{draw(MAGNIFICATIONS)}-{image:03d}.png")


@given(st.data(), NUMBERS)
def test_images_of_one_number_are_of_one_patient_whatever_else_differs(data: st.DataObject, number: str) -> None:
    one, other = (parse_breakhis(data.draw(names(number))) for _ in range(2))
    assert one.patient == other.patient == number


@given(st.data(), NUMBERS, NUMBERS)
def test_images_of_two_numbers_are_of_two_patients(data: st.DataObject, first: str, second: str) -> None:
    one, other = (parse_breakhis(data.draw(names(number))) for number in (first, second))
    assert (one.patient == other.patient) == (first == second)


def write_breakhis(root: Path, slide: str, magnification: int = 40, kind: str = "tubular_adenoma") -> Path:
    """One image where the published tree has it, 46 px for 460."""
    tumour = "benign" if slide.startswith("SOB_B") else "malignant"
    folder = root / f"histology_slides/breast/{tumour}/SOB/{kind}" / slide.replace("-14-", "_14-")
    return write_image(folder / f"{magnification}X/{slide}-{magnification}-001.png", height=46, width=70)


def test_the_published_tree_is_read_with_both_labels_and_the_magnifications_resolution(tmp_path: Path) -> None:
    write_breakhis(tmp_path, "SOB_B_TA-14-3411F")
    write_breakhis(tmp_path, "SOB_M_DC-14-13412", kind="ductal_carcinoma")
    write_breakhis(tmp_path, "SOB_M_LC-14-13412", kind="lobular_carcinoma")
    patches = list_breakhis(request_of(tmp_path))
    assert [one.group for one in patches] == ["3411", "13412", "13412"]
    assert [one.labels for one in patches][::2] == [("tubular_adenoma", "benign"), ("lobular_carcinoma", "malignant")]
    assert {one.mpp for one in patches} == {2.3}
    assert patches[0].read().shape == (46, 70, 3)


def test_the_source_may_state_another_resolution(tmp_path: Path) -> None:
    write_breakhis(tmp_path, "SOB_B_TA-14-3411F")
    (patch,) = list_breakhis(request_of(tmp_path, source_mpp=0.46))
    assert patch.mpp == 0.46


def test_one_magnification_is_chosen(tmp_path: Path) -> None:
    for magnification in (40, 200):
        write_breakhis(tmp_path, "SOB_B_TA-14-3411F", magnification)
    (patch,) = list_breakhis(request_of(tmp_path), magnification=200)
    assert (Path(patch.name).parent.name, patch.mpp) == ("200X", 0.455)
    with pytest.raises(TrainingError, match=r'images at 40x, 200x, .*\n.*kind = "breakhis-40x", "breakhis-200x"'):
        list_breakhis(request_of(tmp_path))
    with pytest.raises(TrainingError, match="no images at 400x in it"):
        list_breakhis(request_of(tmp_path), magnification=400)


@pytest.mark.parametrize("name", ["a.png", "SOB_B_XY-14-3411F-40-001.png", "SOB_B_TA-14-3411F-50-001.png"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name)
    with pytest.raises(TrainingError, match=f"{name}: no file name of BreaKHis"):
        list_breakhis(request_of(tmp_path))


def test_an_image_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_breakhis(tmp_path / "a", "SOB_B_TA-14-3411F")
    write_breakhis(tmp_path / "b", "SOB_B_TA-14-3411F")
    with pytest.raises(TrainingError, match=r"SOB_B_TA-14-3411F-40-001\.png: is there 2 times"):
        list_breakhis(request_of(tmp_path))
