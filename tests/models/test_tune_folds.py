"""Parameters of a fold follow from the other folds alone, and a bundle's from patients that it is not tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import tune_instances
from models.bundle import write_bundle
from models.comparison_nuclei_config import Folds, NucleiComparison, TestSet
from models.errors import TrainingError, UnknownBundle
from models.instances import InstanceStep
from models.shelf import read_card
from models.tune_folds import FoldScenes, look, main, tune_across, tune_folds, tune_for
from models.tune_instances import Scene, is_tuned
from tests.models.examples import SMALL_UNET, card, network, tissue
from tests.models.test_instances import certain, discs

FOLDS = Folds(set="discs", count=2, base="small/train.toml")
COMPARISON = NucleiComparison(
    title="Nuclei",
    section="nuclei",
    bundles=(),
    sets=(TestSet(name="discs", path=".", kind="instances", mpp=0.25, test=("p0",)),),
    folds=FOLDS,
)
FILE = """
title = "Nuclei"
section = "nuclei"
bundles = []
sets = [{ name = "discs", path = ".", kind = "instances", mpp = 0.25, test = ["p0"] }]
folds = { set = "discs", count = 2, base = "small/train.toml" }
"""


def scene(*, specks_are_nuclei: bool) -> Scene:
    """A map of four nuclei and a small one of 81 px, which the truth holds for a nucleus or not."""
    seen = discs()
    seen[3:12, 3:12] = 5
    return Scene("left out", certain(seen), seen if specks_are_nuclei else discs())


def bundle(folder: Path) -> Path:
    of = card(SMALL_UNET, postprocessing={"least_area_px": 20}, training={"test_patients": ["discs: p0"]})
    with torch.no_grad():
        write_bundle(folder, network(of), of)
    return folder


@pytest.fixture
def only_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_instances, "GRIDS", {"least_area_px": (10, 120)})


@pytest.mark.usefixtures("only_areas")
def test_a_fold_is_tuned_by_the_others_alone(tmp_path: Path) -> None:
    of = bundle(tmp_path / "fold")
    with_small, without = (FoldScenes(of, ("p",), (scene(specks_are_nuclei=small),)) for small in (True, False))
    assert [step.least_area_px for step in tune_across([with_small, without])] == [120, 20]


@pytest.mark.usefixtures("only_areas")
def test_a_bundle_is_tuned_by_patients_that_it_is_not_tested_on(tmp_path: Path) -> None:
    of = bundle(tmp_path / "bundle")
    fold = FoldScenes(of, ("p0", "p1"), (scene(specks_are_nuclei=True), scene(specks_are_nuclei=False)))
    step, scenes = tune_for(of, [fold], "discs")
    assert scenes == [fold.scenes[1]]
    assert step.least_area_px == 120
    with pytest.raises(TrainingError, match="tested on every patient"):
        tune_for(of, [FoldScenes(of, ("p0",), fold.scenes[:1])], "discs")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Images of four patients, and the bundles of two folds in `work`."""
    for name in ("images", "labels", "work"):
        (tmp_path / name).mkdir()
    for patient in ("p0", "p1", "p2", "p3"):
        Image.fromarray(tissue(80, 100)).save(tmp_path / f"images/{patient}.png")
        Image.fromarray(discs().astype(np.uint16)).save(tmp_path / f"labels/{patient}.png")
    for fold in (1, 2):
        bundle(tmp_path / f"work/small-fold-{fold}-of-2")
    return tmp_path / "work"


def test_networks_look_at_the_patients_that_they_left_out(work: Path) -> None:
    looked = look(COMPARISON, FOLDS, work.parent, work, "cpu")
    assert [fold.patients for fold in looked] == [("p0", "p2"), ("p1", "p3")]
    assert all(scene.probabilities.shape == (80, 100, 3) for fold in looked for scene in fold.scenes)


def test_without_a_fold_there_is_nothing_to_tune_by(work: Path) -> None:
    (work / "small-fold-2-of-2").rename(work / "elsewhere")
    with pytest.raises(UnknownBundle, match="small-fold-2-of-2"):
        look(COMPARISON, FOLDS, work.parent, work, "cpu")


@pytest.mark.usefixtures("only_areas")
def test_the_cards_of_all_folds_say_what_their_parameters_follow_from(work: Path) -> None:
    tune_folds(COMPARISON, FOLDS, work.parent, work, "cpu")
    for fold in (1, 2):
        of = read_card(work / f"small-fold-{fold}-of-2")
        assert is_tuned(of)
        assert of.training["postprocessing"]["parts"] == ["left out by folds"]
        assert of.training["postprocessing"]["images"] == 2
        assert set(of.postprocessing) == set(InstanceStep().as_dict())


@pytest.mark.usefixtures("only_areas")
def test_the_command_prints_a_bundles_parameters_and_writes_them_when_asked(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work.parent / "c.toml").write_text(FILE, encoding="utf-8")
    shipped = bundle(work.parent / "shipped")
    given = ["--config", str(work.parent / "c.toml"), "--data", str(work.parent), "--work", str(work)]
    given += ["--bundle", str(shipped), "--device", "cpu"]
    main(given)
    assert "least_area_px = " in capsys.readouterr().out
    assert not is_tuned(read_card(shipped))
    main([*given, "--write"])
    assert read_card(shipped).training["postprocessing"]["images"] == 3
