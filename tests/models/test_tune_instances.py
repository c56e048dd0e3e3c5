from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import tune_instances
from models.bundle import read_card, write_bundle
from models.errors import TrainingError
from models.instances import InstanceStep
from models.shelf import WEIGHTS_FILE
from models.train_config import read_config
from models.tune_instances import Scene, is_tuned, judge, main, tune, tune_bundle
from tests.models.examples import SMALL_UNET, card, network, tissue
from tests.models.test_instances import certain, discs

PATIENTS = ("p0", "p1", "p2", "p3")

CONFIG = """
name = "small-unet"
task = "nuclei"
architecture = "unet"
mpp = 0.25
licence = "Apache-2.0"
limits = "A test's."

[[sources]]
name = "discs"
licence = "Apache-2.0"
kind = "instances"
path = "."
validation = ["p1"]
test = [{test}]

[schedule]
iterations = 1
batch = 1
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle tested on p0, beside four images of a patient each."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for patient in PATIENTS:
        image = tissue(80, 100)
        image[discs() > 0] //= 2
        Image.fromarray(image).save(tmp_path / f"images/{patient}.png")
        Image.fromarray(discs().astype(np.uint16)).save(tmp_path / f"labels/{patient}.png")
    (tmp_path / "train.toml").write_text(CONFIG.format(test='"p0"'))
    of = card(SMALL_UNET, postprocessing={"seed_threshold": 0.3}, training={"test_patients": ["discs: p0"]})
    with torch.no_grad():
        write_bundle(tmp_path / "bundle", network(of), of)
    return tmp_path / "bundle"


def command(bundle: Path, *more: str) -> list[str]:
    folder = bundle.parent
    return ["--bundle", str(bundle), "--config", str(folder / "train.toml"), "--data", str(folder), *more]


def test_tuning_finds_parameters_that_a_map_needs() -> None:
    """Interiors that are only just likelier than contours are no seeds to a high threshold."""
    labels = discs()
    doubts = np.array([[0.9, 0.05, 0.05], [0.15, 0.55, 0.3], [0.1, 0.2, 0.7]], np.float32)
    scenes = [Scene("train", certain(labels) @ doubts, labels)]
    begin = InstanceStep(seed_threshold=0.9)
    found = tune(begin, scenes)
    assert judge(begin, scenes).sum == 0
    assert judge(found, scenes).sum > 1.6


def test_no_step_is_judged_twice_and_the_first_stays_where_none_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_instances, "GRIDS", {"least_area_px": (8, 16), "smoothing_px": (1.0, 2.0)})
    empty = [Scene("train", np.full((20, 20, 3), (1, 0, 0), np.float32), np.zeros((20, 20), np.int32))]
    told: list[InstanceStep] = []
    begin = InstanceStep(least_area_px=20)
    assert tune(begin, empty, lambda step, _: told.append(step)) == begin
    assert len(told) == len(set(told)) == 4


def test_the_command_prints_both_parts_and_leaves_the_bundle_alone(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune_instances, "GRIDS", {"seed_threshold": (0.0, 0.3)})
    before = (bundle / "card.json").read_bytes()
    main(command(bundle, "--images", "1", "--device", "cpu"))
    lines = capsys.readouterr().out.splitlines()
    table = [line.split()[:2] for line in lines[-4:]]
    assert table == [["before", "train"], ["before", "validation"], ["after", "train"], ["after", "validation"]]
    assert (bundle / "card.json").read_bytes() == before


def test_written_parameters_stand_in_the_card_and_the_weights_stay(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune_instances, "GRIDS", {"least_area_px": (4, 16)})
    before, weights = read_card(bundle), (bundle / WEIGHTS_FILE).read_bytes()
    main(command(bundle, "--device", "cpu", "--write", "--choose-by", "validation"))
    after = read_card(bundle)
    assert (bundle / WEIGHTS_FILE).read_bytes() == weights
    assert after.sha256 == before.sha256 == hashlib.sha256(weights).hexdigest()
    assert InstanceStep(**after.postprocessing).seed_threshold == 0.3
    assert set(after.postprocessing) == set(InstanceStep().as_dict())
    assert after.metrics["measured_with"] == {"seed_threshold": 0.3}
    assert after.training["postprocessing"]["parts"] == ["validation"]


def test_a_bundle_is_tuned_in_one_call_and_says_so(bundle: Path, tmp_path: Path) -> None:
    assert not is_tuned(read_card(bundle))
    told = tune_bundle(bundle, read_config(tmp_path / "train.toml"), images=1)
    assert told == read_card(bundle)
    assert is_tuned(told)
    assert told.training["postprocessing"]["images"] == 2


def test_patients_of_the_test_are_refused(bundle: Path) -> None:
    (bundle.parent / "train.toml").write_text(CONFIG.format(test='"p2"'))
    with pytest.raises(TrainingError, match="discs: p0") as caught:
        main(command(bundle, "--device", "cpu"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["other", "dis"])
def test_a_test_whose_patients_no_source_knows_is_refused(bundle: Path, name: str) -> None:
    """The same images under another name would let the test choose."""
    text = CONFIG.format(test='"p2"').replace('name = "discs"', f'name = "{name}"')
    (bundle.parent / "train.toml").write_text(text)
    with pytest.raises(TrainingError, match=r"1 patients of its test \(discs: p0\) belong to no source") as caught:
        main(command(bundle, "--device", "cpu"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(("asked", "looked_at"), [((), 20), (("--images", "0"), 23), (("--images", "2"), 2)])
def test_twenty_images_of_a_part_are_looked_at_unless_others_are_asked_for(
    bundle: Path,
    asked: tuple[str, ...],
    looked_at: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tune_instances, "GRIDS", {})
    for name in ("images", "labels"):
        for more in range(21):
            shutil.copy(bundle.parent / name / "p3.png", bundle.parent / name / f"q{more}.png")
    main(command(bundle, "--device", "cpu", *asked))
    assert f"before train      ({looked_at} images)" in capsys.readouterr().out


def test_an_empty_part_is_no_basis_to_choose_by(bundle: Path) -> None:
    (bundle.parent / "train.toml").write_text(CONFIG.format(test='"p0"').replace('["p1"]', "[]"))
    with pytest.raises(TrainingError, match="no image with instances to choose by"):
        main(command(bundle, "--device", "cpu", "--choose-by", "validation"))
