"""The three tasks: each is data, a loss and figures around a network that it does not know in detail.

The loop (`models.train`) sees a `Task` only: it draws batches, asks for the loss, validates, and at the end asks for
the figures of the card.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from models.batches import Batch, Better
from models.errors import TrainingError
from models.task_classification import ClassificationTask
from models.task_nuclei import NucleiTask
from models.task_super_resolution import SuperResolutionTask
from models.train_config import TrainConfig


class Task(Protocol):
    """What the loop asks of a task."""

    better: Better

    def draw(self, rng: np.random.Generator, count: int) -> Batch: ...
    def loss(self, network: nn.Module, batch: Batch) -> Tensor: ...
    def validate(self, network: nn.Module) -> dict[str, float]: ...
    def finish(self, network: nn.Module) -> None: ...
    def card_fields(self) -> dict[str, Any]: ...
    def split(self) -> dict[str, Any]: ...
    def test(self, network: nn.Module) -> dict[str, Any]: ...


def build_task(config: TrainConfig) -> Task:
    """Return the task that a config names, its data read.

    Raises
    ------
    TrainingError
        if there is no such task, its options are wrong, or its data cannot be used.
    """
    tasks: dict[str, Callable[[TrainConfig], Task]] = {
        "superresolution": SuperResolutionTask,
        "nuclei": NucleiTask,
        "classification": ClassificationTask,
    }
    if config.task not in tasks:
        what = f"{config.name}: no task {config.task!r}"
        raise TrainingError(what, f"Take one of {', '.join(tasks)}.")
    return tasks[config.task](config)
