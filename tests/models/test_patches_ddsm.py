from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import TrainingError
from models.patches_ddsm import CROPPED, list_ddsm
from tests.models.patches_made import request_of, write_image

HEADER = "patient_id,image view,pathology,image file path,cropped image file path"


def row(patient: str, pathology: str, abnormality: int, case: str = "Mass-Training") -> str:
    """A line of the published tables, whose paths end with a line break in quotes."""
    view = f"{case}_{patient}_LEFT_CC"
    paths = f"{view}/1.2/1.{patient}/000000.dcm", f"{view}_{abnormality}/1.2/2.{patient}.{abnormality}/000001.dcm"
    return f'{patient},CC,{pathology},{paths[0]},"{paths[1]}\n"'


def write_table(folder: Path, *rows: str, name: str = "mass_case_description_train_set.csv") -> None:
    (folder / "csv").mkdir(exist_ok=True)
    (folder / "csv" / name).write_text("\n".join([HEADER, *rows]))


def test_a_mammogram_has_the_severest_label_of_its_abnormalities(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        row("P_00001", "BENIGN", 1),
        row("P_00001", "MALIGNANT", 2),
        row("P_00001", "BENIGN", 3),
        row("P_00002", "BENIGN_WITHOUT_CALLBACK", 1),
    )
    for patient in ("P_00001", "P_00002"):
        write_image(tmp_path / f"jpeg/1.{patient}/1-001.jpg", 90, 64, 40)
    patches = list_ddsm(request_of(tmp_path))
    assert [one.labels for one in patches] == [("malignant",), ("benign_without_callback", "benign")]
    assert [one.group for one in patches] == ["P_00001", "P_00002"]


def test_a_patient_of_both_published_parts_is_one(tmp_path: Path) -> None:
    write_table(tmp_path, row("P_00001", "BENIGN", 1))
    calc = row("P_00001", "MALIGNANT", 1, "Calc-Test").replace("1.P_", "3.P_")
    write_table(tmp_path, calc, name="calc_case_description_test_set.csv")
    for series in ("1.P_00001", "3.P_00001"):
        write_image(tmp_path / f"jpeg/{series}/1-001.jpg")
    assert [one.group for one in list_ddsm(request_of(tmp_path))] == ["P_00001", "P_00001"]


def test_a_mammogram_is_shown_whole_on_black(tmp_path: Path) -> None:
    write_table(tmp_path, row("P_00001", "BENIGN", 1))
    write_image(tmp_path / "png/Mass-Training_P_00001_LEFT_CC.png", 90, 64, 41)
    image = list_ddsm(request_of(tmp_path))[0].read()
    assert image.shape == (64, 64, 3)
    assert (image[:, 11:52] == 90).all()
    assert image.sum() == 90 * 64 * 41 * 3


def test_an_abnormality_is_told_from_its_mask_by_its_size(tmp_path: Path) -> None:
    write_table(tmp_path, row("P_00001", "MALIGNANT", 1), row("P_00001", "BENIGN", 2))
    for place, abnormality in enumerate((1, 2)):
        write_image(tmp_path / f"jpeg/2.P_00001.{abnormality}/{1 + place}-1.png", 90, 40, 40)
        write_image(tmp_path / f"jpeg/2.P_00001.{abnormality}/{2 - place}-2.png", 255, 64, 60)
    patches = list_ddsm(request_of(tmp_path), CROPPED)
    assert [one.labels for one in patches] == [("malignant",), ("benign",)]
    assert [np.unique(one.read()).tolist() for one in patches] == [[90], [90]]


def test_what_the_tables_name_and_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no \*_case_description_\*\.csv below it"):
        list_ddsm(request_of(tmp_path))
    write_table(tmp_path, row("P_00001", "MALIGNANT", 1))
    with pytest.raises(TrainingError, match=r"the tables name 1 images that are not there \(Mass-Training_P_00001"):
        list_ddsm(request_of(tmp_path))


def test_an_unknown_pathology_is_named(tmp_path: Path) -> None:
    write_table(tmp_path, row("P_00001", "UNPROVEN", 1))
    with pytest.raises(TrainingError, match=r"train_set\.csv: pathology 'UNPROVEN' is none of BENIGN_WITHOUT"):
        list_ddsm(request_of(tmp_path))
