from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.data import (
    MONUSEG_TEST_PATIENTS,
    MONUSEG_VALIDATION_PATIENTS,
    Split,
    choose,
    image_files,
    patient_of,
    read_image,
    read_labels,
    refuse_shared_patients,
    split_patients,
)
from models.errors import TrainingError
from models.train_config import SourceConfig

BUNDLES = Path(__file__).parents[2] / "models/bundles"


def source(**changes: object) -> SourceConfig:
    return SourceConfig(**{"name": "set", "licence": "none", "kind": "images", "path": "set"} | changes)  # type: ignore[arg-type]


@given(st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=5, max_size=40), st.integers(0, 99))
def test_a_split_by_lot_parts_the_patients(patients: set[str], seed: int) -> None:
    config = source(test_share=0.2, validation_share=0.2)
    split = split_patients([*patients, *patients], config, seed)
    assert sorted((*split.train, *split.validation, *split.test)) == sorted(patients)
    assert len(split.test) == len(split.validation) == round(0.2 * len(patients))
    assert split == split_patients(sorted(patients, reverse=True), config, seed)


def test_named_patients_are_held_out() -> None:
    split = split_patients("abcde", source(test=("b",), validation=("d",)), seed=0)
    assert split == Split(train=("a", "c", "e"), validation=("d",), test=("b",))
    assert [split.part_of(one) for one in "abd"] == ["train", "test", "validation"]


def test_a_patient_in_two_parts_is_refused() -> None:
    with pytest.raises(TrainingError, match="test and train share 1 patients"):
        refuse_shared_patients(train=["a", "b"], test=["b"], validation=[])
    with pytest.raises(TrainingError, match="share"):
        Split(train=("a",), validation=("a",), test=())
    with pytest.raises(TrainingError, match="share"):
        split_patients("abc", source(test=("a",), validation=("a",)), seed=0)


def test_holding_out_a_patient_who_is_not_there_is_refused() -> None:
    with pytest.raises(TrainingError, match="no patient zz"):
        split_patients("abc", source(test=("zz",)), seed=0)
    with pytest.raises(TrainingError, match="left to train on"):
        split_patients("ab", source(test=("a", "b")), seed=0)


def test_the_patient_is_the_expressions_first_group() -> None:
    assert patient_of("TCGA-18-5592-01Z-00-DX1", "(.{12})") == "TCGA-18-5592"
    assert patient_of("test_10_003", r"([a-z]+_\d+)_") == "test_10"
    with pytest.raises(TrainingError, match="finds nothing"):
        patient_of("x", r"(\d+)")


@pytest.mark.parametrize("name", ["nuclei-unet", "sr-x2", "sr-x4"])
def test_shipped_trainings_hold_out_the_same_monuseg_patients(name: str) -> None:
    table = tomllib.loads((BUNDLES / name / "train.toml").read_text())
    of_monuseg = [one for one in table["sources"] if "monuseg" in one["path"]]
    assert of_monuseg
    for one in of_monuseg:
        assert tuple(one["test"]) == MONUSEG_TEST_PATIENTS
        assert tuple(one["validation"]) == MONUSEG_VALIDATION_PATIENTS


def test_images_and_labels_come_back_as_they_were_written(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    labels = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1000
    Image.fromarray(labels).save(tmp_path / "b.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)
    assert np.array_equal(read_labels(tmp_path / "b.png"), labels)
    assert [path.name for path in image_files(tmp_path)] == ["a.png", "b.png"]


def test_a_folder_without_images_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=str(tmp_path)):
        image_files(tmp_path)


def test_sets_are_drawn_in_proportion_to_their_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = [choose([3.0, 0.0, 1.0], rng) for _ in range(2000)]
    assert np.bincount(drawn, minlength=3) / 2000 == pytest.approx([0.75, 0, 0.25], abs=0.04)
