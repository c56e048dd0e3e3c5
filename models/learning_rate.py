"""How far a training is, and how fast it learns there."""

from __future__ import annotations

import math

from models.checkpoint import Progress
from models.train_config import ScheduleConfig


def share_done(schedule: ScheduleConfig, progress: Progress) -> float:
    """Return how much of the training is done, 0 to 1: by iterations or by minutes, whichever is farther."""
    by_time = progress.seconds / (60 * schedule.minutes) if schedule.minutes else 0.0
    return max(progress.iteration / schedule.iterations, by_time)


def rate(schedule: ScheduleConfig, progress: Progress) -> float:
    """Return the factor on the learning rate: a linear rise over the warm-up, times a half cosine down to 0."""
    warm = min(1.0, (progress.iteration + 1) / (schedule.warmup + 1))
    return warm * (1 + math.cos(math.pi * min(share_done(schedule, progress), 1.0))) / 2
