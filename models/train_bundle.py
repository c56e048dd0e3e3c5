"""From a training to a bundle: build the network, take the weights of a checkpoint, measure them, write the card."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from models.bundle import ARCHITECTURES, write_bundle
from models.card import Card
from models.checkpoint import Progress, load
from models.errors import TrainingError
from models.receptive_field import receptive_radius_px
from models.tasks import Task, build_task
from models.train_config import TrainConfig, from_table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def build(config: TrainConfig) -> nn.Module:
    """Return the network that a config describes, with fresh weights.

    Raises
    ------
    TrainingError
        if there is no such architecture, it does not do the task, or its parameters are wrong.
    """
    architecture = ARCHITECTURES.get(config.architecture)
    if architecture is None or config.task not in architecture.tasks:
        known = ", ".join(name for name, one in ARCHITECTURES.items() if config.task in one.tasks)
        what = f"{config.name}: architecture {config.architecture!r} does not do {config.task}"
        raise TrainingError(what, f"Take one of {known}.")
    parameters = from_table(architecture.config, config.network, config.name)  # type: ignore[arg-type]
    return architecture.network(parameters)


def write_trained(config: TrainConfig, out: Path, work: Path, task: Task | None = None) -> Card:
    """Write the bundle of the last checkpoint in `work`, be the training through or not, and return its card."""
    checkpoint = load(work)
    if checkpoint is None:
        raise TrainingError.about(work, "holds no checkpoint", "Train first, or name the training's folder.")
    task = task or build_task(config)
    network = build(config).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's own types
    network.load_state_dict(checkpoint.part("best") or checkpoint.part("mean"))
    with torch.no_grad():
        task.finish(network)
        _round_to_half(network)
        metrics = task.test(network)
    return write_bundle(out, network, _card(config, task, network, checkpoint.progress, metrics))


@torch.no_grad()
def _round_to_half(network: nn.Module) -> None:
    """Round the weights to fp16, as the bundle holds them, so that the card's figures are the bundle's."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


def _card(config: TrainConfig, task: Task, network: nn.Module, progress: Progress, metrics: dict[str, object]) -> Card:
    schedule = config.schedule
    fields = task.card_fields()
    stride_px = int(getattr(network, "stride_px", 1))
    dense = config.task != "classification"
    radius_px = receptive_radius_px(network, scale=fields.get("scale") or 1, stride_px=stride_px) if dense else None
    training = {
        "data": [{"name": one.name, "licence": one.licence} for one in config.sources],
        "split": "by patient",
        **task.split(),
        "iterations": progress.best_iteration or progress.iteration,
        "batch": schedule.batch,
        "seed": config.seed,
        "minutes": round(progress.seconds / 60, 1),
        "optimiser": f"AdamW, learning rate {schedule.learning_rate:g}, weight decay {schedule.weight_decay:g}",
        "ema_decay": schedule.ema_decay,
        "precision": config.precision,
    }
    return Card(
        name=config.name,
        task=config.task,
        architecture=config.architecture,
        parameters=asdict(cast("DataclassInstance", network.config)),
        mpp=config.mpp,
        receptive_radius_px=radius_px,
        stride_px=stride_px,
        licence=config.licence,
        training=training,
        metrics=_rounded(metrics),  # type: ignore[arg-type]
        limits=config.limits,
        **fields,
    )


def _rounded(value: object) -> object:
    """Return nested figures with five significant digits, infinite or undefined ones as null."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
