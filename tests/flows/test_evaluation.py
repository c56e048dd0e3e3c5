"""Evaluations of super-resolution, on tiny networks and real pixels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.evaluation import evaluate_superresolution
from models.coarse_scan import BICUBIC
from models.errors import ModelError
from models.evaluate_super_resolution import judge_pair
from models.evaluation_images import decode_pair
from models.predict import load_predictor
from tests.flows.evaluated import bundle, refused, write_images
from tests.models.examples import SMALL_SR, SMALL_UNET, card, tissue


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


def test_a_super_resolution_is_measured_image_by_image(tmp_path: Path, images: Path) -> None:
    of = replace(card(SMALL_SR), training={"train_patients": ["a set: p2", "p9"]})
    name, heard = bundle(tmp_path, of), list[tuple[int, int]]()
    result = evaluate_superresolution(
        name, images, 2, patient="([^_]+)", on_image=lambda done, count: heard.append((done, count))
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["bundle"] == {"name": "small-sr", "sha256": load_predictor(name, "cpu", "fp32").card.sha256}
    assert (result["scale"], result["degradation"]) == (2, "bicubic_aa")
    assert "2 px cut" in result["protocol"]
    assert [one["file"] for one in result["skipped"]] == ["notes.txt"]
    assert [(one["file"], one["patient"]) for one in result["images"]] == [("p1_a.png", "p1"), ("p2_b.png", "p2")]
    assert result["patients_trained_on"] == ["p2"]
    assert result["totals"]["images"] == 2
    assert heard == [(1, 3), (2, 3), (3, 3)]
    predict, pair = load_predictor(name, "cpu", "fp32"), decode_pair(images / "p1_a.png", 2, "bicubic_aa", "(.+)")
    alone = judge_pair(pair, lambda low: np.asarray(predict(low[None])[0], np.uint8), 2)
    assert result["images"][0]["figures"] == alone.method
    assert result["images"][0]["baseline"] == alone.bicubic
    both = [one["figures"]["psnr_rgb"] for one in result["images"]]
    assert result["totals"]["psnr_rgb"]["mean"] == pytest.approx(np.mean(both))


def test_bicubic_can_be_measured_alone_at_any_scale(images: Path) -> None:
    result = evaluate_superresolution(BICUBIC, images, 4, degradation="bilinear_aa")
    assert result["bundle"] == {"name": "bicubic", "sha256": None}
    assert result["totals"]["psnr_rgb_gain"] == {"mean": 0, "sd": 0}
    assert "antialiased bilinear" in result["protocol"]


def test_the_perceptual_distance_is_measured_where_an_encoder_is_named(tmp_path: Path, images: Path) -> None:
    encoder = bundle(tmp_path, card(SMALL_UNET))
    result = evaluate_superresolution(BICUBIC, images, 2, encoder=encoder)
    assert result["perceptual_encoder"] == encoder
    assert result["totals"]["perceptual"] == result["baseline"]["perceptual"]
    assert result["totals"]["perceptual"]["mean"] > 0


def test_bicubic_that_enlarges_nothing_is_refused(images: Path) -> None:
    with pytest.raises(ModelError) as error:
        evaluate_superresolution(BICUBIC, images, 0)
    refused(error, "scale 0")


def test_another_scale_than_the_cards_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(ModelError) as error:
        evaluate_superresolution(bundle(tmp_path, card(SMALL_SR)), images, 4)
    refused(error, "small-sr: enlarges x2, not x4", "Give 2 for --scale")


def test_a_network_for_something_else_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(ModelError) as error:
        evaluate_superresolution(bundle(tmp_path, card(SMALL_UNET)), images, 2)
    refused(error, "small-unet: a network for nuclei, where one for superresolution is wanted")


def test_a_degradation_that_no_image_has_is_refused(images: Path) -> None:
    with pytest.raises(ModelError) as error:
        evaluate_superresolution(BICUBIC, images, 2, degradation="pyramid")
    refused(error, "'pyramid'", "bicubic_aa, bilinear_aa, box_jpeg, blur_noise_jpeg")


def test_a_folder_without_any_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    Image.fromarray(tissue(10, 10)).save(tmp_path / "small.png")
    with pytest.raises(ModelError) as error:
        evaluate_superresolution(BICUBIC, tmp_path, 2)
    refused(error, "none of 2 files", "notes.txt", "small.png: 10 x 10 px")


# --- real data


@pytest.mark.slides
def test_the_shipped_super_resolution_beats_bicubic_on_a_held_out_patient(data: Path, tmp_path: Path) -> None:
    name = "TCGA-AR-A1AS-01Z-00-DX1.webp"
    with Image.open(data / "nuclei/monuseg/images" / name) as image:
        image.convert("RGB").crop((300, 300, 556, 556)).save(tmp_path / "a.png")
    result = evaluate_superresolution("sr-x2", tmp_path, 2)
    assert result["totals"]["psnr_rgb_gain"]["mean"] > 1
    assert result["totals"]["qilv"]["mean"] > result["baseline"]["qilv"]["mean"]
    assert result["totals"]["consistency_rms"]["mean"] < 1
