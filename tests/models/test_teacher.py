from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.batches import normalise
from models.bundle import load_network, write_bundle
from models.card import Card, Normalisation
from models.errors import TrainingError
from models.losses import l1, taught_cross_entropy
from models.predict import load_predictor
from models.task_nuclei import NucleiTask
from models.task_super_resolution import SuperResolutionTask
from models.teacher import load_teacher
from models.train import train
from models.train_config import TrainConfig
from models.train_settings import fingerprint
from tests.models.examples import SMALL_SR, SMALL_UNET, card, network, tissue
from tests.models.test_train import config, data, one_thread  # noqa: F401 (fixtures)
from tests.models.test_train_network import refused

CPU = torch.device("cpu")
WANTED = {"task": "superresolution", "scale": 2}


def bundle(folder: Path, of: Card, seed: int = 0) -> str:
    """A small bundle's path."""
    write_bundle(folder, network(of, seed), of)
    return str(folder)


def pupil(task: str, root: Path, teacher: str, **options: Any) -> TrainConfig:
    plain = config(task, root, iterations=2, validate_every=2)
    mpp = 0.25 if task == "nuclei" else plain.mpp
    return replace(plain, mpp=mpp, options={**plain.options, "teacher": teacher, **options})


def pixels() -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(tissue(32, 32))).permute(2, 0, 1)[None]


def test_a_teacher_says_what_its_bundle_says(tmp_path: Path) -> None:
    of = replace(card(SMALL_UNET), normalisation=Normalisation((0.7, 0.5, 0.6), (0.2, 0.2, 0.2)))
    name = bundle(tmp_path / "teacher", of)
    teacher = load_teacher(name, {}, CPU, "fp32")
    assert teacher is not None
    answer = teacher.answer(pixels())
    with torch.no_grad():
        assert torch.allclose(answer, load_network(name)(normalise(pixels(), of.normalisation)), atol=1e-4)
    assert not answer.requires_grad


def test_a_teacher_in_bf16_says_the_same_but_for_rounding_under_autocast_too(tmp_path: Path) -> None:
    name = bundle(tmp_path / "teacher", card(SMALL_SR))
    teacher = load_teacher(name, WANTED, CPU, "bf16")
    assert teacher is not None
    with torch.autocast("cpu", torch.bfloat16):
        answer = teacher.answer(pixels())
    said = load_predictor(name, "cpu", "bf16")(tissue(32, 32)[None])[0]
    assert answer.dtype == torch.float32
    assert np.abs((answer[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy() - said).max() <= 1


def test_nobody_teaches_where_nobody_is_named() -> None:
    assert load_teacher("", WANTED, CPU, "fp32") is None


@pytest.mark.parametrize(("name", "match"), [("nuclei-unet", "its task is nuclei"), ("sr-x4", "its scale is 4")])
def test_a_bundle_that_does_something_else_is_no_teacher(name: str, match: str) -> None:
    with pytest.raises(TrainingError, match=match) as error:
        load_teacher(name, WANTED, CPU, "fp32")
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("share", [0, 1.5])
@pytest.mark.parametrize("task", ["superresolution", "nuclei"])
def test_an_impossible_share_is_refused(task: str, share: float, data: Path) -> None:  # noqa: F811
    kind = {"superresolution": SuperResolutionTask, "nuclei": NucleiTask}[task]
    with pytest.raises(TrainingError, match="teacher_share"):
        kind(pupil(task, data, "", teacher_share=share))


def test_a_teacher_and_an_adversary_at_once_are_refused(data: Path) -> None:  # noqa: F811
    with pytest.raises(TrainingError, match="not both at once"):
        SuperResolutionTask(pupil("superresolution", data, "sr-x2", adversary={"width": 4}))


def test_super_resolution_is_held_against_the_truth_and_the_teachers_image(data: Path, tmp_path: Path) -> None:  # noqa: F811
    of = card(SMALL_SR)
    settings = pupil("superresolution", data, bundle(tmp_path / "teacher", of, seed=1), teacher_share=0.25)
    task, student = SuperResolutionTask(replace(settings, precision="fp32")), network(of)
    batch = task.draw(np.random.default_rng(0), 2)
    assert task.teacher is not None
    with torch.no_grad():
        drawn = student(batch["low"].float() / 255)
        wanted = 0.75 * l1(drawn, batch["high"] / 255) + 0.25 * l1(drawn, task.teacher.answer(batch["low"]).clamp(0, 1))
        assert float(task.loss(student, batch)) == pytest.approx(float(wanted), rel=1e-5)


def test_nuclei_are_held_against_the_labels_and_the_teachers_probabilities(data: Path, tmp_path: Path) -> None:  # noqa: F811
    of = card(SMALL_UNET)
    name = bundle(tmp_path / "teacher", of, seed=1)
    student, losses = network(of), list[float]()
    for teacher in ("", name):
        task = NucleiTask(replace(pupil("nuclei", data, teacher, teacher_share=0.25), precision="fp32"))
        batch = task.draw(np.random.default_rng(0), 2)
        with torch.no_grad():
            losses.append(float(task.loss(student, batch)))
    assert task.teacher is not None
    with torch.no_grad():
        logits = student(normalise(batch["image"], task.normalisation))
        taught = taught_cross_entropy(logits, task.teacher.answer(batch["image"]), torch.tensor([1.0, 1.0, 2.0]))
    assert losses[1] == pytest.approx(0.75 * losses[0] + 0.25 * float(taught), rel=1e-5)


def test_a_pupil_comes_to_say_what_its_teacher_says(data: Path, tmp_path: Path) -> None:  # noqa: F811
    name = bundle(tmp_path / "teacher", card(SMALL_SR), seed=1)
    settings = pupil("superresolution", data, name, teacher_share=1.0)
    task = SuperResolutionTask(replace(settings, precision="fp32"))
    batch, student = task.draw(np.random.default_rng(0), 2), network(card(SMALL_SR))
    optimiser, losses = torch.optim.Adam(student.parameters(), 1e-3), list[float]()
    for _ in range(20):
        optimiser.zero_grad()
        loss = task.loss(student, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert not [one for one in vars(task.teacher).values() if isinstance(one, nn.Module) and one.training]


def test_the_card_names_the_teacher_and_what_it_learned_from(data: Path, tmp_path: Path) -> None:  # noqa: F811
    other = {"name": "other", "licence": "MIT"}
    learned = {"train_patients": ["elsewhere"], "data": [other]}
    name = bundle(tmp_path / "teacher", replace(card(SMALL_SR), training=learned))
    settings = pupil("superresolution", data, name)
    made = train(settings, tmp_path / "bundle")
    sha256 = load_teacher(name, WANTED, CPU, "fp32").card.sha256  # type: ignore[union-attr] # there is one
    assert made.training["teacher"] == {"name": "small-sr", "sha256": sha256}
    answers = {"name": "Answers of the bundle small-sr", "licence": "Apache-2.0", "sha256": sha256}
    assert made.training["data"] == [{"name": "set", "licence": "none"}, answers, other]
    assert "elsewhere" in made.training["train_patients"]


def test_a_teacher_that_has_seen_the_tests_patients_is_refused(data: Path, tmp_path: Path) -> None:  # noqa: F811
    name = bundle(tmp_path / "teacher", replace(card(SMALL_SR), training={"train_patients": ["p0"]}))
    refused(pupil("superresolution", data, name), tmp_path, r"share 1 patients \(p0\)")


def test_another_teacher_is_another_training_wherever_it_lies(tmp_path: Path) -> None:
    of = card(SMALL_SR)
    first, second = (bundle(tmp_path / str(seed), of, seed) for seed in (0, 1))
    again = bundle(tmp_path / "copy", of, 0)
    one, other, copy = (fingerprint(pupil("superresolution", tmp_path, name)) for name in (first, second, again))
    assert one == copy != other
