from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import TrainingError
from models.losses import nuclei_cross_entropy, offset_errors, soft_dice
from models.nuclei_channels import CLASSES, OFFSETS
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.published_unet import PublishedUNet, PublishedUNetConfig
from models.task_nuclei import NucleiTask, segment
from models.train_config import ScheduleConfig, SourceConfig, TrainConfig
from tests.models.examples import SMALL_UNET, card, network, predictor, tissue


def test_an_image_of_any_size_is_segmented_to_probabilities_of_its_size() -> None:
    of = card(SMALL_UNET)
    with torch.no_grad():
        probabilities = segment(network(of), tissue(37, 50), of.normalisation, 3)
    assert probabilities.shape == (37, 50, 3)
    assert np.allclose(probabilities.sum(2), 1, atol=1e-5)


def test_what_training_judges_is_what_the_predictor_gives() -> None:
    of, image = card(SMALL_UNET), tissue(48, 64)  # whole strides: nothing is padded
    with torch.no_grad():
        judged = segment(network(of), image, of.normalisation, 3)
    assert np.allclose(judged, predictor(of)(image[None])[0], atol=1e-4)


def source(folder: Path) -> SourceConfig:
    for part in ("images", "labels"):
        (folder / part).mkdir()
    labels = np.zeros((64, 64), np.uint16)
    labels[8:24, 8:24], labels[32:56, 32:56] = 1, 2
    for name in ("a", "b"):
        Image.fromarray(tissue(64, 64)).save(folder / "images" / f"{name}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{name}.png")
    return SourceConfig(name="made", licence="none", kind="instances", path=".", test=("b",))


def task(folder: Path, **options: Any) -> NucleiTask:
    config = TrainConfig(
        name="made",
        task="nuclei",
        architecture="unet",
        mpp=0.25,
        licence="none",
        limits="none",
        options={"crop_px": 32, **options},
        sources=(source(folder),),
        schedule=ScheduleConfig(iterations=1, batch=1),
        data_root=str(folder),
    )
    return NucleiTask(config)


def test_a_share_of_crops_comes_from_images_seen_through_a_coarser_scan(tmp_path: Path) -> None:
    seeing = task(tmp_path, seen_through=["bicubic-x2"], seen_share=1.0)
    assert np.array_equal(seeing._lot(np.random.default_rng(0))[0].train[0].labels, seeing.sets[0].train[0].labels)
    assert not np.array_equal(seeing._lot(np.random.default_rng(0))[0].train[0].image, seeing.sets[0].train[0].image)
    assert seeing.draw(np.random.default_rng(0), 2)["image"].shape == (2, 3, 32, 32)


def test_without_such_ways_crops_come_from_the_images_themselves(tmp_path: Path) -> None:
    plain = task(tmp_path)
    assert plain._lot(np.random.default_rng(0)) is plain.sets


def test_a_network_without_contours_learns_nucleus_against_background(tmp_path: Path) -> None:
    torch.manual_seed(0)
    two = task(tmp_path, classes=["background", "nucleus"], dice=0.0, class_weights=[1.0, 1.0, 1.0])
    network_of_two = PublishedUNet(PublishedUNetConfig(base=2, depth=2)).eval()
    batch = two.draw(np.random.default_rng(0), 2)
    logits = network_of_two(batch["image"].float() / 255)
    nucleus = (batch["classes"] > 0).float()
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 1], nucleus)
    assert torch.allclose(two.loss(network_of_two, batch), wanted, atol=1e-5)
    assert two.card_fields()["classes"] == ("background", "nucleus")


def test_a_network_with_other_classes_than_the_options_is_refused(tmp_path: Path) -> None:
    three = task(tmp_path)
    with pytest.raises(TrainingError, match="has 2 channels"):
        three.loss(PublishedUNet(PublishedUNetConfig(base=2, depth=2)), three.draw(np.random.default_rng(0), 1))


def test_a_network_without_contours_is_measured_to_the_end(tmp_path: Path) -> None:
    two = task(tmp_path, classes=["background", "nucleus"])
    with torch.no_grad():
        figures = two.test(PublishedUNet(PublishedUNetConfig(base=2, depth=2)).eval())
    assert 0 <= figures["test"]["made"]["dice"]["mean"] <= 1


def test_offsets_are_learned_beside_the_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    told = task(tmp_path, offsets=0.5)
    network_of_five = NucleiUNet(NucleiUNetConfig(base=2, depth=1, classes=5)).eval()
    batch = told.draw(np.random.default_rng(0), 2)
    assert batch["offsets"].shape == (2, 2, 32, 32)
    output = network_of_five(batch["image"].float() / 255)
    of_offsets = offset_errors(output[:, 3:], batch["offsets"], batch["classes"].long())
    target, weights = batch["classes"].long(), torch.tensor([1.0, 1.0, 2.0])
    of_classes = nuclei_cross_entropy(output[:, :3], target, weights) + soft_dice(output[:, :3], target)
    assert torch.allclose(told.loss(network_of_five, batch), of_classes + 0.5 * of_offsets)
    assert told.card_fields()["classes"] == (*CLASSES, *OFFSETS)


def test_without_offsets_none_are_drawn(tmp_path: Path) -> None:
    assert set(task(tmp_path).draw(np.random.default_rng(0), 1)) == {"image", "classes"}


def test_the_card_names_patients_of_every_part(tmp_path: Path) -> None:
    assert task(tmp_path).split() == {
        "train_patients": ["made: a"],
        "validation_patients": [],
        "test_patients": ["made: b"],
    }
