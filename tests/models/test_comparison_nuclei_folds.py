"""A cross-validation tests every patient once, trains every fold once, and goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import tune_instances
from models.comparison_nuclei import main
from models.comparison_nuclei_config import Folds
from models.comparison_nuclei_folds import fold_config, fold_name, fold_patients
from models.comparison_nuclei_set import HeldOut
from models.errors import DeviceError, TrainingError
from models.instances import InstanceStep
from models.monuseg import MONUSEG_ORGANS
from models.nuclei_channels import OFFSETS
from models.shelf import CARD_FILE, SHIPPED, read_card
from models.train_config import read_config
from models.tune_instances import is_tuned, read_sets
from tests.models.test_train import data, one_thread  # noqa: F401 (fixtures)

BASE = """
name = "base"
task = "nuclei"
architecture = "unet"
mpp = 0.25
licence = "none"
limits = "A test's."
network = { base = 4, depth = 2 }
options = { crop_px = 32, instances = { least_area_px = 77 } }
schedule = { iterations = 1, batch = 1, validate_every = 1 }
sources = [
    { name = "set", licence = "none", kind = "instances", path = ".", validation = ["p0"], test = ["p1"] },
]
"""
FILE = """
title = "Nuclei"
section = "nuclei"
bundles = []

[[sets]]
name = "set"
path = "."
kind = "instances"
mpp = 0.25
test = ["p1"]

[folds]
set = "set"
count = 2
base = "tiny/train.toml"
"""
FOLDS = Folds(set="set", count=2, base="tiny/train.toml")


def image(patient: str, organ: str = "") -> HeldOut:
    return HeldOut(Path(f"{patient}.png"), Path(f"labels/{patient}.png"), instances=True, patient=patient, organ=organ)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("xyz")), min_size=1), st.integers(2, 6))
def test_every_patient_is_in_one_fold(drawn: list[tuple[int, str]], count: int) -> None:
    patients = {f"p{number}": organ for number, organ in drawn}
    images = [image(patient, organ) for patient, organ in patients.items()]
    if len(patients) < count:
        with pytest.raises(TrainingError, match="do not fill"):
            fold_patients(images, count)
        return
    found = fold_patients(images, count)
    assert sorted(patient for fold in found for patient in fold) == sorted(patients)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert fold_patients(images[::-1], count) == found


def test_organs_of_monuseg_are_spread_over_five_folds() -> None:
    for fold in fold_patients([image(patient, organ) for patient, organ in MONUSEG_ORGANS.items()], 5):
        organs = [MONUSEG_ORGANS[patient] for patient in fold]
        assert len(fold) == 6
        assert {"breast", "kidney", "liver", "prostate"} <= set(organs)
        assert max(map(organs.count, organs)) <= 2


def test_a_fold_tests_on_its_patients_alone_and_chooses_by_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(BASE, encoding="utf-8")
    base = read_config(tmp_path / "train.toml")
    fold = fold_config(base, FOLDS, 1, ("p0", "p3"))
    assert fold.name == "tiny-fold-2-of-2"
    assert (fold.sources[0].test, fold.sources[0].validation) == (("p0", "p3"), ())
    assert fold_config(base, FOLDS, 0, ("p2",)).sources[0].validation == ("p0",)
    with pytest.raises(TrainingError, match="none of its sources is called 'other'"):
        fold_config(base, Folds(set="other", count=2, base="x"), 0, ("p0",))


def test_a_fold_begins_with_the_instance_steps_defaults_and_keeps_the_other_options(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(BASE, encoding="utf-8")
    base = read_config(tmp_path / "train.toml")
    assert base.options["instances"] == {"least_area_px": 77}
    assert fold_config(base, FOLDS, 0, ("p2",)).options == {"crop_px": 32, "instances": {}}


@pytest.mark.parametrize("bundle", [None, "nuclei-unet"])
def test_a_folds_training_file_says_what_the_fold_is(bundle: str | None, tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(BASE.replace("A test's.", 'A \\"test\\", ± 25 %.'), encoding="utf-8")
    base = read_config(SHIPPED / bundle / "train.toml" if bundle else tmp_path / "train.toml")
    fold = fold_config(base, replace(FOLDS, set=base.sources[0].name), 1, ("p1", "p3")).at(tmp_path)
    (tmp_path / "fold.toml").write_text(fold.text, encoding="utf-8")
    assert read_config(tmp_path / "fold.toml") == fold


def test_folds_are_trained_on_the_device_that_is_asked_for(data: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/train.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "c.toml").write_text(FILE, encoding="utf-8")
    given = ["--config", str(tmp_path / "c.toml"), "--data", str(data), "--work", str(tmp_path / "work")]
    with pytest.raises(DeviceError, match="cuda:63"):
        main([*given, "--device", "cuda:63"])
    assert not list((tmp_path / "work").glob(f"*/{CARD_FILE}"))


def test_some_of_the_folds_are_trained_and_nothing_is_measured(
    data: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/train.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "c.toml").write_text(FILE, encoding="utf-8")
    given = ["--config", str(tmp_path / "c.toml"), "--data", str(data), "--work", str(tmp_path / "work")]
    main([*given, "--device", "cpu", "--only", "fold-2"])
    assert [card.parent.name for card in (tmp_path / "work").glob(f"*/{CARD_FILE}")] == ["tiny-fold-2-of-2"]
    assert capsys.readouterr().out == "tiny-fold-2-of-2\n"


def test_folds_are_tuned_if_the_file_says_so_and_only_once(
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/train.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "c.toml").write_text(FILE.replace("bundles = []", "bundles = []\ntune_images = 1"), encoding="utf-8")
    monkeypatch.setattr(tune_instances, "GRIDS", {"smoothing_px": (0.0, 1.0)})
    given = ["--config", str(tmp_path / "c.toml"), "--data", str(data), "--work", str(tmp_path / "work")]
    main([*given, "--device", "cpu", "--only", "fold-2"])
    card = tmp_path / "work/tiny-fold-2-of-2" / CARD_FILE
    assert not is_tuned(read_card(card.parent))  # by the others, as soon as they are there
    main([*given, "--device", "cpu", "--only", "fold-1"])
    assert is_tuned(read_card(card.parent))
    written = card.stat().st_mtime_ns
    main([*given, "--device", "cpu", "--only", "fold-2"])
    assert card.stat().st_mtime_ns == written


def test_a_fold_goes_on_from_a_first_network_that_left_out_the_same_patients(
    data: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/first.toml").write_text(BASE, encoding="utf-8")
    with_offsets = BASE.replace("depth = 2", "depth = 2, classes = 5").replace("32,", "32, offsets = 1.0,")
    (tmp_path / "tiny/train.toml").write_text(with_offsets, encoding="utf-8")
    (tmp_path / "c.toml").write_text(FILE + 'first = "tiny/first.toml"', encoding="utf-8")
    given = ["--config", str(tmp_path / "c.toml"), "--data", str(data), "--work", str(tmp_path / "work")]
    main([*given, "--device", "cpu", "--only", "fold-2"])
    assert capsys.readouterr().out.split() == ["tiny-fold-2-of-2-first", "tiny-fold-2-of-2"]
    first, then = (read_card(tmp_path / "work" / f"tiny-fold-2-of-2{part}") for part in ("-first", ""))
    assert then.training["begun_with"] == first.name
    assert then.training["test_patients"] == first.training["test_patients"] == ["set: p1", "set: p3"]
    assert then.classes == (*(first.classes or ()), *OFFSETS)


def test_folds_are_trained_once_and_pooled(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/train.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "c.toml").write_text(FILE, encoding="utf-8")
    work = tmp_path / "work"
    given = ["--config", str(tmp_path / "c.toml"), "--data", str(data), "--work", str(work), "--device", "cpu"]
    main(given)
    assert "5 images of 5 patients that no training saw: p0, p1, p2, p3, p4." in capsys.readouterr().out
    bundles = [work / fold_name(FOLDS, fold) for fold in range(2)]
    tested = [read_card(bundle).training["test_patients"] for bundle in bundles]
    assert tested == [["set: p0", "set: p2", "set: p4"], ["set: p1", "set: p3"]]
    for bundle in bundles:
        assert read_card(bundle).postprocessing["least_area_px"] == InstanceStep().least_area_px
        (tuned_on,) = read_sets(read_config(bundle / "train.toml").at(data), read_card(bundle))
        assert [f"set: {patient}" for patient in tuned_on.test_patients] == read_card(bundle).training["test_patients"]
    before = [(bundle / CARD_FILE).stat().st_mtime_ns for bundle in bundles]
    main(given)
    assert [(bundle / CARD_FILE).stat().st_mtime_ns for bundle in bundles] == before
    for part in bundles[1].iterdir():
        part.unlink()
    capsys.readouterr()
    main([*given, "--no-training"])
    text = capsys.readouterr().out
    assert "| 1 of 2 folds |" in text
    assert "Left out: tiny-fold-2-of-2 (there is no bundle tiny-fold-2-of-2 yet)." in text
    (tmp_path / "tiny/train.toml").write_text(BASE.replace("batch = 1", "batch = 2"), encoding="utf-8")
    with pytest.raises(TrainingError, match="other settings"):
        main(given)
