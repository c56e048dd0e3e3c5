"""The tasks: each is data, losses and figures around networks that it does not know in detail.

The loop (`models.training`) sees a `Task` only: it draws batches, asks whose turn it is and down which loss, validates,
and at the end asks for the figures of the card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from torch import nn

from models.batches import Batch, Better
from models.errors import TrainingError
from models.slide_reader import OpenSlide, open_tiff
from models.task_adversarial import AdversarialTask
from models.task_classification import ClassificationTask
from models.task_nuclei import NucleiTask
from models.task_super_resolution import SuperResolutionTask
from models.train_config import TrainConfig
from models.turns import Rival, Turn


class Task(Protocol):
    """What the loop asks of a task."""

    better: Better

    def draw(self, rng: np.random.Generator, count: int) -> Batch: ...
    def rivals(self) -> dict[str, Rival]: ...
    def turns(self) -> Sequence[Turn]: ...
    def validate(self, network: nn.Module) -> dict[str, float]: ...
    def finish(self, network: nn.Module) -> None: ...
    def card_fields(self) -> dict[str, Any]: ...
    def split(self) -> dict[str, Any]: ...
    def test(self, network: nn.Module) -> dict[str, Any]: ...


def build_task(config: TrainConfig, open_slide: OpenSlide = open_tiff) -> Task:
    """Return the task that a config names, its data read; `open_slide` opens the slides among them.

    Raises
    ------
    TrainingError
        if there is no such task, its options are wrong, or its data cannot be used.
    """
    against = AdversarialTask if "adversary" in config.options else SuperResolutionTask
    tasks: dict[str, Callable[[], Task]] = {
        "superresolution": lambda: against(config, open_slide),
        "nuclei": lambda: NucleiTask(config, open_slide),
        "classification": lambda: ClassificationTask(config, open_slide),
    }
    if config.task not in tasks:
        what = f"{config.name}: no task {config.task!r}"
        raise TrainingError(what, f"Take one of {', '.join(tasks)}.")
    return tasks[config.task]()
