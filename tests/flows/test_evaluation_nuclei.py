"""The evaluation of nuclei, on a tiny network and real pixels: as they are, and as a coarser scan would show them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.evaluation_nuclei import evaluate_nuclei
from models.coarse_scan import scan_coarser
from models.degrade import enlarge_bicubic
from models.errors import BundleError, ModelError
from models.evaluate_nuclei import judge_instances
from models.evaluation_images import decode_labelled
from models.instances import InstanceStep
from models.predict import load_predictor
from tests.flows.evaluated import bundle, refused, write_images
from tests.models.examples import SMALL_SR, SMALL_UNET, card

STEP = {"least_area_px": 4}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


@pytest.fixture
def unet(tmp_path: Path) -> str:
    return bundle(tmp_path, replace(card(SMALL_UNET), postprocessing=STEP))


@pytest.fixture
def labels(tmp_path: Path, images: Path) -> Path:
    """Three square nuclei beside each image, the numbers far apart."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for path in images.glob("*.png"):
        with Image.open(path) as image:
            instances = np.zeros((image.height, image.width), np.uint16)
        instances[4:20, 4:20], instances[30:44, 6:20], instances[8:24, 30:50] = 1, 70, 65_535
        Image.fromarray(instances).save(folder / path.name)
    return folder


def test_nuclei_are_measured_image_by_image(unet: str, images: Path, labels: Path) -> None:
    result = evaluate_nuclei(unet, images, labels, patient="([^_]+)")
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [(one["file"], one["patient"]) for one in result["images"]] == [("p1_a.png", "p1"), ("p2_b.png", "p2")]
    assert [one["file"] for one in result["skipped"]] == ["notes.txt"]
    assert (result["instances"]["least_area_px"], result["degrade"], result["organs"]) == (4, None, None)
    names = {"dice", "aji", "aji_plus", "pq", "dq", "sq", "detection_f1"}
    names |= {"relative_count_error", "absolute_relative_count_error", "absolute_relative_count_error_median"}
    assert set(result["totals"]) == names | {f"{name}_95" for name in names} | {"images", "patients"}
    both = [one["figures"]["dice"] for one in result["images"]]
    assert result["totals"]["dice"]["mean"] == pytest.approx(np.mean(both))
    assert result["totals"]["dice_95"] == pytest.approx(sorted(both))
    assert result["baseline"]["method"] == "all background"
    assert result["baseline"]["dice"]["mean"] == 0
    assert result["baseline"]["relative_count_error"]["mean"] == -1


def test_the_network_looks_at_as_many_views_as_asked_for_which_the_record_says(
    unet: str, images: Path, labels: Path
) -> None:
    assert [evaluate_nuclei(unet, images, labels, views=views)["views"] for views in (1, 4)] == [1, 4]
    with pytest.raises(BundleError, match="cannot look at 3 views"):
        evaluate_nuclei(unet, images, labels, views=3)


def test_organs_have_totals_of_their_own(unet: str, images: Path, labels: Path, tmp_path: Path) -> None:
    table = tmp_path / "organs.csv"
    table.write_text("image,organ\np1_a,liver\np2_b.png,colon\n", encoding="utf-8")
    result = evaluate_nuclei(unet, images, labels, organs=table)
    assert [one["organ"] for one in result["images"]] == ["liver", "colon"]
    liver = result["organs"]["liver"]
    assert liver["totals"]["dice"]["mean"] == result["images"][0]["figures"]["dice"]
    assert liver["baseline"]["dice"]["mean"] == 0
    assert liver["totals"]["dice_95"] == [None, None]
    table.write_text("image,organ\np1_a,liver\n", encoding="utf-8")
    with pytest.raises(ModelError) as error:
        evaluate_nuclei(unet, images, labels, organs=table)
    refused(error, "organs.csv: no organ for 1 images (p2_b.png)")


def test_a_coarser_scan_is_enlarged_and_judged_by_the_same_labels(unet: str, images: Path, labels: Path) -> None:
    result = evaluate_nuclei(unet, images, labels, degrade=2)
    assert "reduced 2:1" in result["protocol"]
    assert result["degrade"] == {"factor": 2, "enlarged_by": {"name": "bicubic", "sha256": None}}
    one = decode_labelled(images / "p1_a.png", labels / "p1_a.png")
    seen = scan_coarser(one, 2, lambda low: enlarge_bicubic(low, 2))
    found = InstanceStep(**STEP)(np.asarray(load_predictor(unet, "cpu", "fp32")(seen.image[None])[0]))
    assert result["images"][0]["figures"] == judge_instances(seen, found)


def test_a_super_resolution_enlarges_it_where_one_is_named(
    unet: str,
    images: Path,
    labels: Path,
    tmp_path: Path,
) -> None:
    sr = bundle(tmp_path, card(SMALL_SR))
    result = evaluate_nuclei(unet, images, labels, degrade=2, sr=sr)
    enlarged_by = result["degrade"]["enlarged_by"]
    assert enlarged_by == {"name": "small-sr", "sha256": load_predictor(sr, "cpu", "fp32").card.sha256}
    assert "enlarged again by small-sr" in result["protocol"]


def test_whom_either_network_was_trained_on_is_told(images: Path, labels: Path, tmp_path: Path) -> None:
    unet = bundle(tmp_path, replace(card(SMALL_UNET), training={"train_patients": ["a set: p2"]}))
    sr = bundle(tmp_path, replace(card(SMALL_SR), training={"train_patients": ["p2", "p1"]}))
    alone = evaluate_nuclei(unet, images, labels, patient="([^_]+)", degrade=2)
    together = evaluate_nuclei(unet, images, labels, patient="([^_]+)", degrade=2, sr=sr)
    assert alone["patients_trained_on"] == ["p2"]
    assert together["patients_trained_on"] == ["p1", "p2"]


def test_scans_that_cannot_be_made_are_refused(unet: str, images: Path, labels: Path, tmp_path: Path) -> None:
    sr = bundle(tmp_path, card(SMALL_SR))
    for options, words in (
        ({"sr": sr}, ("has nothing to enlarge", "--degrade 2 or 4")),
        ({"degrade": 3}, ("not reduced by 3", "--degrade 2 or 4")),
        ({"degrade": 4, "sr": sr}, ("enlarges x2, not x4", "Give 2 for --scale or --degrade")),
        ({"degrade": 2, "sr": unet}, ("a network for nuclei, where one for superresolution",)),
    ):
        with pytest.raises(ModelError) as error:
            evaluate_nuclei(unet, images, labels, **options)
        refused(error, *words)


def test_missing_labels_and_labels_of_another_size_are_refused(unet: str, images: Path, labels: Path) -> None:
    Image.fromarray(np.zeros((10, 10), np.uint16)).save(labels / "p1_a.png")
    with pytest.raises(ModelError) as error:
        evaluate_nuclei(unet, images, labels)
    refused(error, "p1_a.png: an array (10, 10)")
    (labels / "p1_a.png").unlink()
    with pytest.raises(ModelError) as error:
        evaluate_nuclei(unet, images, labels)
    refused(error, "labels missing for 1 images (p1_a.png)")


def test_a_network_at_another_resolution_detects_within_the_same_micrometres(
    images: Path,
    labels: Path,
    tmp_path: Path,
) -> None:
    coarse = bundle(tmp_path, replace(card(SMALL_UNET), name="coarse", mpp=1.0))
    result = evaluate_nuclei(coarse, images, labels)
    one = decode_labelled(images / "p1_a.png", labels / "p1_a.png")
    predict = load_predictor(coarse, "cpu", "fp32")
    found = InstanceStep()(np.asarray(predict(one.image[None])[0]))
    assert result["images"][0]["figures"] == judge_instances(one, found, mpp=1.0)
    assert result["mpp"] == 1.0
