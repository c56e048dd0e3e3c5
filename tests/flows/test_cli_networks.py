"""Training and measuring, as called: in a process of its own, on files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from models.shelf import CARD_FILE, GAN_FILE, read_card
from tests.flows.test_cli import histoloom
from tests.models.examples import tissue

TRAIN = """
name = "small"
task = "superresolution"
architecture = "srresnet"
mpp = 0.5
licence = "none"
limits = "none"
network = { scale = 2, blocks = 1, channels = 4, norm = "none", residual = "bicubic" }
schedule = { iterations = 2, batch = 1, validate_every = 1 }

[options]
crop_px = 16
judge = "none"
"""
SOURCE = """
[[sources]]
name = "tiles"
licence = "none"
kind = "images"
path = "tiles"
test = ["p0"]
"""
GAN = """
begin = "{bundle}"
weights = "gan"
"""
ADVERSARY = """
[options.losses]
l1 = 1.0
adversarial = 0.1

[options.adversary]
network = "unet_sn"
width = 4
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three tiles, and one that is none."""
    folder = tmp_path / "data" / "tiles"
    folder.mkdir(parents=True)
    for patient in range(3):
        Image.fromarray(tissue(60, 64 + 8 * patient)).save(folder / f"p{patient}.png")
    (folder / "p3.png").write_bytes(b"no picture")
    return tmp_path / "data"


def test_a_bundle_is_trained_sharpened_measured_and_used(data: Path, tmp_path: Path) -> None:
    bundle, plain, against = tmp_path / "bundle", tmp_path / "train.toml", tmp_path / "gan.toml"
    plain.write_text(TRAIN + SOURCE)
    against.write_text(GAN.format(bundle=bundle) + TRAIN + ADVERSARY + SOURCE)
    trained = histoloom("train", "superresolution", "--config", plain, "--out", bundle, "--data", data)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["metrics"]["test"]["tiles"]["images"] == 1
    assert "p3.png" in trained.stderr
    call = ("train", "superresolution", "--config", against, "--out", bundle, "--data", data, "--work", tmp_path / "w")
    sharpened = histoloom(*call)
    assert sharpened.returncode == 0, sharpened.stderr
    assert (bundle / GAN_FILE).is_file()
    assert (bundle / "train.gan.toml").read_text() == against.read_text()
    assert read_card(bundle).gan is not None

    metrics = tmp_path / "metrics.json"
    measured = histoloom(
        "evaluate", "superresolution", "--bundle", bundle, "--images", data / "tiles", "--scale", "2",
        "--sr-blend", "0.5", "--out", metrics,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    found = json.loads(metrics.read_text())
    assert found["bundle"]["sha256"] == read_card(bundle).sha256
    assert [one["file"] for one in found["skipped"]] == ["p3.png"]
    assert {"protocol", "totals", "baseline", "versions"} <= set(found)
    assert found["patients_trained_on"] == ["p1", "p2"]

    picture, out = data / "tiles" / "p0.png", tmp_path / "results"
    run = ("run", picture, "--mpp", "0.5", "--sr", bundle, "--tissue", "all", "--out", out, "--sr-blend", "0.5")
    refused = histoloom(*run)
    assert refused.returncode == 2
    assert "--measure-blended" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2
    looked = histoloom(*run, "--nuclei", "none", "--classifier", "none")
    assert looked.returncode == 0, looked.stderr
    record = json.loads((out / "p0" / "run.json").read_text())
    assert record["plan"]["settings"]["sr_blend"] == 0.5
    assert any("adversary" in warning for warning in record["warnings"])


def test_a_mixture_needs_a_bundle_with_second_weights(data: Path, tmp_path: Path) -> None:
    settings = ("--mpp", "0.5", "--tissue", "all", "--nuclei", "none", "--classifier", "none", "--sr-blend", "0.5")
    (tmp_path / "train.toml").write_text(TRAIN + SOURCE)
    bundle = tmp_path / "bundle"
    histoloom("train", "superresolution", "--config", tmp_path / "train.toml", "--out", bundle, "--data", data)
    done = histoloom("run", data / "tiles" / "p0.png", *settings, "--sr", bundle, "--out", tmp_path / "results")
    assert done.returncode == 3
    assert "has no weights that were trained against an adversary" in done.stderr


@pytest.mark.parametrize(
    ("text", "task", "says"),
    [
        (TRAIN + SOURCE, "nuclei", "a training for superresolution, where one for nuclei is wanted"),
        (TRAIN + SOURCE.replace("tiles", "nowhere"), "superresolution", "nowhere"),
        (TRAIN.replace("crop_px = 16", "crop_px = 160") + SOURCE, "superresolution", "p1.png"),
        (TRAIN.replace('"srresnet"', '"srresmet"') + SOURCE, "superresolution", "srresmet"),
        (TRAIN + SOURCE + SOURCE.replace('["p0"]', '["p1"]'), "superresolution", "share"),
    ],
    ids=["another task", "no data", "tiles smaller than crops", "no such network", "a shared patient"],
)
def test_what_cannot_be_trained_is_said_in_two_lines(
    text: str, task: str, says: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.toml").write_text(text)
    done = histoloom("train", task, "--config", tmp_path / "train.toml", "--out", tmp_path / "b", "--data", data)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("tiles:", "small "))]
    assert says in done.stderr
    assert len(lines) == 2, done.stderr
    assert not (tmp_path / "b" / CARD_FILE).exists()
