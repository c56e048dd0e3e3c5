from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.bundle import list_bundles
from models.data import refuse_shared_patients
from models.errors import TrainingError
from models.hybrid_resnet import HybridResNet
from models.losses import hybrid_cross_entropy
from models.operating_point import choose_operating_point, figures_at
from models.resnet import ResNet, ResNetConfig
from models.task_classification import ClassificationTask, classify, fit_temperature, probabilities
from models.train_config import ScheduleConfig, SourceConfig, TrainConfig
from models.train_settings import fingerprint, settings_of
from tests.models.examples import SMALL_HYBRID, card, network, tissue

OPTIONS: dict[str, Any] = {"classes": ("pale", "dark"), "field_px": 32}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients of four patches, half of each class."""
    root = tmp_path_factory.mktemp("data")
    rows = ["file,patient,label"]
    for patient in range(10):
        for place in range(4):
            patch = tissue(200, 200)[10 * patient :][:32, 8 * place :][:, :32] // (1 + place % 2)
            Image.fromarray(patch).save(root / f"{patient}-{place}.png")
            rows.append(f"{patient}-{place}.png,{1000 + patient},{('pale', 'dark')[place % 2]}")
    (root / "index.csv").write_text("\n".join(rows), encoding="utf-8")
    return root


def config(data: Path, *, name: str = "a", sources: int = 1, **options: Any) -> TrainConfig:
    source = SourceConfig(name="s0", licence="none", kind="files", path=".", validation_share=0.2, test_share=0.2)
    return TrainConfig(
        name=name,
        task="classification",
        architecture="hybrid_resnet",
        mpp=1.0,
        licence="none",
        limits="A test's.",
        options={**OPTIONS, **options},
        sources=tuple(replace(source, name=f"s{place}") for place in range(sources)),
        schedule=ScheduleConfig(iterations=1, batch=4),
        device="cpu",
    ).at(data)


def drawn(task: ClassificationTask, seed: int = 0) -> dict[str, Tensor]:
    return task.draw(np.random.default_rng(seed), 8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_undoes_overconfidence(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 3)).astype(np.float32)
    chances = torch.from_numpy(logits).softmax(1).numpy()
    labels = (rng.random((len(logits), 1)) > chances.cumsum(1)).sum(1).clip(max=2)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_patches_are_classified_alike_in_any_company() -> None:
    of = card(SMALL_HYBRID)
    patches = np.stack([tissue(50, 50), tissue(100, 100)[50:, 50:], tissue(50, 100)[:, 50:]])
    with torch.no_grad():
        together, alone = (classify(network(of), patches, of.normalisation, at_once=count) for count in (3, 1))
    assert np.allclose(together, alone, atol=1e-5)
    assert together.shape == (3, 2)


@pytest.mark.parametrize(
    "build",
    [
        lambda: HybridResNet(SMALL_HYBRID),
        lambda: ResNet(ResNetConfig(depths=(1, 1, 1, 1), block="basic", width=4, stem="small", classes=2)),
    ],
)
def test_finishing_divides_the_logits_by_a_temperature_of_the_validation(
    data: Path, build: Callable[[], nn.Module]
) -> None:
    task, built = ClassificationTask(config(data)), build().eval()
    patches, labels = task.validation_patches.pixels, task.validation_patches.labels
    before = classify(built.requires_grad_(requires_grad=False), patches, task.normalisation)
    task.finish(built)
    after = classify(built, patches, task.normalisation)
    assert after == pytest.approx(before / fit_temperature(before, labels), abs=1e-4)
    assert {str(patient) for patient in task.validation_patches.patients} == set(task.split()["validation_patients"])


def test_the_operating_point_is_chosen_on_the_validation_and_judged_on_the_test(data: Path) -> None:
    task, built = ClassificationTask(config(data)), HybridResNet(SMALL_HYBRID).eval()
    assert task.card_fields()["postprocessing"] == {}
    with torch.no_grad():
        task.finish(built)
        metrics = task.test(built)
        seen, judged = (
            probabilities(built, one.pixels, task.normalisation)[:, 1]
            for one in (task.validation_patches, task.test_patches)
        )
    point = choose_operating_point(task.validation_patches.labels, seen, task.validation_patches.patients)
    assert task.card_fields()["postprocessing"] == {"operating_point": point}
    test = task.test_patches
    assert metrics["operating_point"] == figures_at(point, test.labels, judged, test.patients)


def test_options_that_change_nothing_leave_a_training_what_it_was(data: Path) -> None:
    """Trainings that older versions began go on, and their bundles' fingerprints hold."""
    table = settings_of(config(data))
    assert table["options"] == {"classes": ["pale", "dark"], "field_px": 32}
    assert fingerprint(config(data)) != fingerprint(config(data, mixup=0.2))


def test_new_options_at_their_defaults_draw_the_same_examples(data: Path) -> None:
    plain = drawn(ClassificationTask(config(data)))
    explicit = drawn(ClassificationTask(config(data, mixup=0.0, sr_pre="none", distortion=0.0)))
    assert torch.equal(plain["image"], explicit["image"])
    assert torch.equal(plain["label"], explicit["label"])
    assert plain["label"].shape == (8,)


def test_mixed_examples_are_learned_by_their_shares(data: Path) -> None:
    task = ClassificationTask(config(data, mixup=0.4))
    batch = drawn(task)
    assert batch["label"].shape == (8, 2)
    assert batch["image"].shape == (8, 3, 32, 32)
    assert ((batch["label"] > 0) & (batch["label"] < 1)).any()
    built = cast(HybridResNet, network(card(SMALL_HYBRID)).requires_grad_(requires_grad=False))
    heads = built.all_heads(batch["image"].float() / 255)
    smooth = 0.95 * batch["label"] + 0.05 / 2
    each = [-(smooth * functional.log_softmax(one, 1)).sum(1).mean() for one in heads]
    found = hybrid_cross_entropy(heads, batch["label"], 0.05, 0.3)
    assert float(found) == pytest.approx(float(each[0] + 0.3 * (each[1] + each[2])), rel=1e-5)
    assert float(task.loss(built, batch)) == pytest.approx(float(found), rel=1e-5)


def test_a_network_behind_an_enlargement_sees_the_enlarged_patches_everywhere(data: Path) -> None:
    task = ClassificationTask(replace(config(data, sr_pre="bicubic-x2", field_px=64), mpp=0.5))
    assert drawn(task)["image"].shape == (8, 3, 64, 64)
    assert task.validation_patches.pixels.shape[1:] == task.test_patches.pixels.shape[1:] == (64, 64, 3)
    assert task.card_fields()["field_px"] == 64
    assert task.split()["patches_enlarged_by"] == "bicubic-x2"


def test_a_distortion_is_of_the_test_too_and_the_card_says_so(data: Path) -> None:
    plain, distorted, again = (ClassificationTask(config(data, distortion=one)) for one in (0.0, 1.0, 1.0))
    assert plain.split()["test_patients"] == distorted.split()["test_patients"]
    assert not np.array_equal(plain.test_patches.pixels, distorted.test_patches.pixels)
    assert np.array_equal(again.test_patches.pixels, distorted.test_patches.pixels)
    assert not torch.equal(drawn(plain)["image"], drawn(distorted)["image"])
    assert distorted.split()["patches_distorted_by"] == 1.0
    assert "patches_distorted_by" not in plain.split()


def test_several_sources_are_learned_from_and_their_patients_told_apart(data: Path) -> None:
    one, two = ClassificationTask(config(data)), ClassificationTask(config(data, sources=2))
    assert len(two.test_patches.labels) == 2 * len(one.test_patches.labels)
    assert two.split()["test_patients"] == [
        f"{name}: {whose}" for name in ("s0", "s1") for whose in one.split()["test_patients"]
    ]
    assert one.split()["test_patients"][0].isdecimal()


def test_a_split_by_image_says_that_it_leaks(data: Path) -> None:
    task = ClassificationTask(config(data, name="leak-a", leak_split_by_image=(0, 5)))
    split = task.split()
    shared = set(split["train_patients"]) & set(split["test_patients"])
    assert shared
    assert (
        split["split"]
        == f"LEAK, by image: {len(shared)} of {len(split['test_patients'])} test patients were trained on"
    )
    with torch.no_grad():
        metrics = task.test(network(replace(card(SMALL_HYBRID), field_px=32)))
    assert metrics["protocol"].startswith("LEAK: patches of patients that training saw, too")
    assert len(task.test_patches.labels) == 8


def test_a_split_by_image_cannot_hide_behind_an_honest_name(data: Path) -> None:
    with pytest.raises(TrainingError, match="the name hides it") as error:
        ClassificationTask(config(data, leak_split_by_image=(0, 5)))
    assert len(str(error.value).splitlines()) == 2


def test_no_bundle_that_ships_shares_a_patient_between_its_parts() -> None:
    for of in list_bundles():
        parts = {name: of.training.get(f"{name}_patients", ()) for name in ("train", "validation", "test")}
        if "place" not in str(of.training.get("split")):  # a slide parted by place is on both sides, and says so
            refuse_shared_patients(**parts)
        assert "LEAK" not in str(of.training.get("split"))


def test_a_class_whose_patients_are_all_held_out_is_refused_by_name(data: Path) -> None:
    rows = (data / "index.csv").read_text(encoding="utf-8").splitlines()
    pale = [row.replace("dark", "pale") if ",1000," not in row and ",1001," not in row else row for row in rows]
    (data / "few.csv").write_text("\n".join(pale), encoding="utf-8")
    folder = data / "few"
    folder.mkdir()
    for file in data.glob("*.png"):
        (folder / file.name).symlink_to(file)
    (data / "few.csv").rename(folder / "index.csv")
    of = config(data)
    source = replace(of.sources[0], path="few", validation_share=0, test_share=0, test=("1000", "1001"))
    with pytest.raises(TrainingError, match="a: no training patch is of the class dark"):
        ClassificationTask(replace(of, sources=(source,)))


@pytest.mark.parametrize("wrong", [{"mixup": -1}, {"distortion": 2}, {"leak_split_by_image": (1,)}])
def test_options_that_cannot_be_meant_are_refused(data: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="cannot have"):
        ClassificationTask(config(data, **wrong))


def test_validation_leaves_out_what_is_no_number(data: Path) -> None:
    of = config(data)
    source = replace(of.sources[0], validation_share=0, test_share=0, validation=("1003",))
    task = ClassificationTask(replace(of, sources=(source,)))
    labels = task.validation_patches.labels
    task.validation_patches = replace(task.validation_patches, labels=np.zeros_like(labels))
    with torch.no_grad():
        figures = task.validate(network(replace(card(SMALL_HYBRID), field_px=32)))
    assert set(figures) == {"balanced_accuracy", "ece"}
