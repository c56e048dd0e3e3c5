"""From a training to a bundle: take the weights of a checkpoint, measure them, write the card."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from models.architectures import resolve
from models.backbone import describe
from models.bundle import add_gan, refuse_other_network, write_bundle
from models.card import Card
from models.checkpoint import Progress, load
from models.data import refuse_shared_patients
from models.errors import TrainingError
from models.patch_parts import LEAK_PREFIX
from models.pretrained import provenance_of
from models.receptive_field import receptive_radius_px
from models.shelf import read_card
from models.tasks import Task, build_task
from models.train_config import TrainConfig
from models.train_network import build, refuse_other_classes
from models.train_settings import fingerprint, progress_of, refuse_other_training

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


CONFIG_FILES = {"model": "train.toml", "gan": "train.gan.toml"}


def refuse_what_cannot_ship(config: TrainConfig, task: Task, out: Path) -> None:
    """Raise before a training what would else come to light when it is through.

    Raises
    ------
    TrainingError
        if the network looks at whole images, tells other classes apart than the data, weights that it begins with have
        seen a patient of the test, or patients are on both sides of the split; a comparison that shows by how much that
        misleads writes its bundles itself.
    BundleError
        if the card would be refused, or second weights have no bundle to join.
    """
    if config.name.startswith(LEAK_PREFIX):
        what = f"{config.name}: the name says that patients are on both sides of the split; such weights do not ship"
        raise TrainingError(what, "Split by patient: leave leak_split_by_image out, and give another name.")
    if config.task == "classification":
        refuse_other_classes(config, task.card_fields()["classes"])
    for parent in config.parents:
        seen = read_card(parent).training.get("train_patients", ())
        refuse_shared_patients(**{f"training of {parent}": seen, "test": task.split()["test_patients"]})
    network = build(config).eval()
    if config.task == "superresolution":
        with torch.no_grad():
            task.finish(network)
    _card(config, task, network, {}, {}).check(config.name)
    if config.weights == "gan":
        refuse_other_network(out, network)


def write_trained(config: TrainConfig, out: Path, work: Path, task: Task | None = None) -> Card:
    """Write the bundle of the last checkpoint in `work`, be the training through or not, and return its card.

    The training file goes beside the weights: how they were made, beside what was made.
    """
    checkpoint = load(work)
    if checkpoint is None:
        raise TrainingError.about(work, "holds no checkpoint", "Train first, or name the training's folder.")
    task = task or build_task(config)
    refuse_other_training(checkpoint.progress, progress_of(config, task.split()["train_patients"]), work)
    network = build(config).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's own types
    network.load_state_dict(checkpoint.part("best") or checkpoint.part("mean"))
    with torch.no_grad():
        task.finish(network)
        _round_to_half(network)
        metrics: dict[str, Any] = _rounded(task.test(network))  # type: ignore[assignment]
    training = _training(config, task, checkpoint.progress)
    if config.weights == "gan":
        card = add_gan(out, network, training, metrics)
    else:
        card = write_bundle(out, network, _card(config, task, network, training, metrics))
    if config.text:
        _write_text(out / CONFIG_FILES[config.weights], config.text)
    return card


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TrainingError.about(path, f"cannot be written ({error})", "Copy the training file there.") from error


@torch.no_grad()
def _round_to_half(network: nn.Module) -> None:
    """Round the weights to fp16, as the bundle holds them, so that the card's figures are the bundle's."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


def _training(config: TrainConfig, task: Task, progress: Progress) -> dict[str, Any]:
    """Return what a card tells of a training."""
    schedule, teacher = config.schedule, _teacher(config)
    return {
        "data": _data(config),
        "split": "by patient",
        **task.split(),
        "train_patients": _learned_from(config, task),
        "settings_sha256": fingerprint(config),
        "begun_with": Path(config.begin).name or config.pretrained or None,
        "teacher": {"name": teacher.name, "sha256": teacher.sha256} if teacher else None,
        "iterations": progress.best_iteration or progress.iteration,
        "batch": schedule.batch,
        "seed": config.seed,
        "minutes": round(progress.seconds / 60, 1),
        "optimiser": f"AdamW, learning rate {schedule.learning_rate:g}, weight decay {schedule.weight_decay:g}"
        + describe(schedule),
        "ema_decay": schedule.ema_decay,
        "precision": config.precision,
    }


def _data(config: TrainConfig) -> list[dict[str, Any]]:
    """Return the name and licence of all that the weights have learned from, that of what they began with last."""
    data: list[dict[str, Any]] = [{"name": one.name, "licence": one.licence} for one in config.sources]
    if config.pretrained:
        data.append(provenance_of(config.pretrained))
    if teacher := _teacher(config):
        name = f"Answers of the bundle {teacher.name}"
        data.append({"name": name, "licence": teacher.licence, "sha256": teacher.sha256})
    before = [one for parent in config.parents for one in read_card(parent).training.get("data", ())]
    data.extend(one for place, one in enumerate(before) if one not in [*data, *before[:place]])
    return data


def _learned_from(config: TrainConfig, task: Task) -> list[str]:
    """Return whom the weights have learned from: this training's patients, then those of the weights they began with.

    Their card names whom those began with in turn, so that none is lost however often a training follows another.
    """
    before = [name for parent in config.parents for name in read_card(parent).training.get("train_patients", ())]
    return list(dict.fromkeys([*task.split()["train_patients"], *before]))


def _teacher(config: TrainConfig) -> Card | None:
    name = config.options.get("teacher")
    return read_card(name) if name else None


def _card(
    config: TrainConfig, task: Task, network: nn.Module, training: dict[str, Any], metrics: dict[str, Any]
) -> Card:
    fields = task.card_fields()
    stride_px = int(getattr(network, "stride_px", 1))
    dense = config.task != "classification"
    radius_px = _radius_px(config, network, fields.get("scale") or 1, stride_px) if dense else None
    return Card(
        name=config.name,
        task=config.task,
        architecture=resolve(config.architecture, config.network)[0],
        parameters=asdict(cast("DataclassInstance", network.config)),
        mpp=config.mpp,
        receptive_radius_px=radius_px,
        stride_px=stride_px,
        licence=config.licence,
        training=training,
        metrics=metrics,
        limits=config.limits,
        **fields,
    )


def _radius_px(config: TrainConfig, network: nn.Module, scale: int, stride_px: int) -> int:
    try:
        return _measured_radius_px(_Shape(network), scale, stride_px)
    except ValueError as error:
        cure = 'Confine it (attention = "window"), or make it shallower.'
        raise TrainingError.about(config.name, str(error), cure) from error


@dataclass(frozen=True)
class _Shape:
    """A network, equal to all others of its class and config: they look as far."""

    network: nn.Module = field(compare=False)
    of: tuple[type, object] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", (type(self.network), self.network.config))


@lru_cache(maxsize=8)
def _measured_radius_px(shape: _Shape, scale: int, stride_px: int) -> int:
    """Return the receptive radius; networks with windows of attention take up to minutes, and are asked for twice."""
    return receptive_radius_px(shape.network, scale=scale, stride_px=stride_px)


def _rounded(value: object) -> object:
    """Return nested figures with five significant digits, infinite or undefined ones as null."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
