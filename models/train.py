"""Training: one loop for super-resolution, nuclei and classification.

    python -m models.train --config train.toml --out BUNDLE [--data ROOT]

Mixed precision (bf16 autocast) in channels-last order on the CPU and on CUDA alike; AdamW; a learning rate that warms
up and falls as a cosine; a running mean of the weights, which is what is validated and shipped. Every batch is drawn
from (seed, iteration) alone, so a training that is stopped and called again goes on where it was, and ends the same.
Checkpoints, log and curves lie beside the bundle, in `<BUNDLE>.training`, until somebody deletes them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.batches import Batch
from models.card import Card
from models.checkpoint import Progress, load, save
from models.errors import TrainingError
from models.tasks import Task, build_task
from models.train_bundle import build, write_trained
from models.train_config import ScheduleConfig, TrainConfig, read_config
from models.training_log import TrainingLog

CONFIG_FILE = "train.toml"


def train(config: TrainConfig, out: Path, work: Path | None = None) -> Card:
    """Train as configured, write the bundle `out`, and return its card.

    Parameters
    ----------
    work
        Folder of checkpoint, log and curves; `<out>.training` by default. A checkpoint in it is gone on from.

    Raises
    ------
    TrainingError
        if settings or data cannot be used, a checkpoint is another training's, or the loss is no number.
    """
    work = work or out.with_name(f"{out.name}.training")
    work.mkdir(parents=True, exist_ok=True)
    task = build_task(config)
    training = Training(config, task, work)
    training.run()
    return write_trained(config, out, work, task)


class Training:
    """A training's moving parts: network, optimiser, running mean, progress."""

    def __init__(self, config: TrainConfig, task: Task, work: Path) -> None:
        self.config, self.task, self.work = config, task, work
        self.device = pick_device(config.device)
        torch.manual_seed(config.seed)
        self.network = build(config).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = deepcopy(self.network).eval().requires_grad_(False)
        schedule = config.schedule
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.best: dict[str, Tensor] = {}
        self.progress = Progress(settings=_settings(config))
        self._resume()
        self.log = TrainingLog(work, up_to_iteration=self.progress.iteration)

    def _resume(self) -> None:
        checkpoint = load(self.work)
        if checkpoint is None:
            return
        if not same_training(checkpoint.progress.settings, self.progress.settings):
            cure = "Train into another folder, or remove this one."
            raise TrainingError.about(self.work, "holds a checkpoint of a training with other settings", cure)
        checkpoint.restore(self.network, self.optimiser)
        self.mean.load_state_dict(checkpoint.part("mean"))
        self.best = checkpoint.part("best")
        self.progress = replace(checkpoint.progress, settings=self.progress.settings)

    def run(self) -> None:
        """Train from the present iteration to the end, with checkpoints, log and curves."""
        schedule, losses, saved = self.config.schedule, [], time.monotonic()
        batches = _draw_ahead(self.task, self.config, self.progress.iteration)
        while share_done(schedule, self.progress) < 1:
            start = time.monotonic()
            losses.append(self.step(next(batches)))
            self.progress = self.progress.after(time.monotonic() - start)
            if self.progress.iteration % schedule.validate_every == 0 or share_done(schedule, self.progress) >= 1:
                self._look(float(np.mean(losses)))
                losses.clear()
            if time.monotonic() - saved > 60 * schedule.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
        self.save()

    def step(self, batch: Batch) -> float:
        """Take one step down the gradient of a batch's loss, move the running mean, and return the loss."""
        schedule = self.config.schedule
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.learning_rate * rate(schedule, self.progress)
        torch.manual_seed(self.config.seed + 1_000_003 * self.progress.iteration)  # dropout, the same when resumed
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss = self.task.loss(self.network, {name: one.to(self.device) for name, one in batch.items()})
        value = float(loss.detach())
        if not math.isfinite(value):
            what = f"{self.config.name}: the loss is {value} at iteration {self.progress.iteration}"
            raise TrainingError(what, f"Lower `learning_rate`; {self.work} holds the state before.")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), schedule.clip_norm)
        self.optimiser.step()
        update_mean(self.mean, self.network, schedule.ema_decay, self.progress.iteration)
        return value

    def _look(self, loss: float) -> None:
        with torch.no_grad():
            figures = self.task.validate(self.mean)
        row = {
            "iteration": self.progress.iteration,
            "minutes": self.progress.seconds / 60,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "loss": loss,
        }
        self.log.add(row | figures)
        self._keep_best(figures)

    def _keep_best(self, figures: dict[str, float]) -> None:
        if self.task.better is None or self.task.better[0] not in figures:
            return
        name, wanted = self.task.better
        value, best = figures[name], self.progress.best
        if best is None or (value > best if wanted == "highest" else value < best):
            self.best = {key: tensor.detach().cpu().clone() for key, tensor in self.mean.state_dict().items()}
            self.progress = replace(self.progress, best=value, best_iteration=self.progress.iteration)

    def save(self) -> None:
        """Write the checkpoint."""
        states = {"network": self.network.state_dict(), "mean": self.mean.state_dict(), "best": self.best}
        save(self.work, self.progress, self.optimiser, **states)


def pick_device(wanted: str) -> torch.device:
    """Return the device that is asked for; `auto` is CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else torch.device(wanted)


def share_done(schedule: ScheduleConfig, progress: Progress) -> float:
    """Return how much of the training is done, 0 to 1: by iterations or by minutes, whichever is farther."""
    by_time = progress.seconds / (60 * schedule.minutes) if schedule.minutes else 0.0
    return max(progress.iteration / schedule.iterations, by_time)


def rate(schedule: ScheduleConfig, progress: Progress) -> float:
    """Return the factor on the learning rate: a linear rise over the warm-up, times a half cosine down to 0."""
    warm = min(1.0, (progress.iteration + 1) / (schedule.warmup + 1))
    return warm * (1 + math.cos(math.pi * min(share_done(schedule, progress), 1.0))) / 2


@torch.no_grad()
def update_mean(mean: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Move the running mean of weights and buffers: mean = d mean + (1 - d) weights.

    d = min(decay, (1 + t) / (10 + t)) at iteration t: the lower decay at first keeps the random start out of the mean
    of a short training.
    """
    share = 1 - min(decay, (1 + iteration) / (10 + iteration))
    new = network.state_dict()
    for name, old in mean.state_dict().items():
        if old.is_floating_point():
            old.lerp_(new[name], share)
        else:
            old.copy_(new[name])


def _draw_ahead(task: Task, config: TrainConfig, first: int) -> Iterator[Batch]:
    """Yield the batches from iteration `first` on, drawn in `workers` threads ahead of their use."""

    def draw(iteration: int) -> Batch:
        return task.draw(np.random.default_rng((config.seed, iteration)), config.schedule.batch)

    workers = config.schedule.workers
    if not workers:
        for iteration in range(first, config.schedule.iterations):
            yield draw(iteration)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: list[Future[Batch]] = [pool.submit(draw, first + place) for place in range(2 * workers)]
        for iteration in range(first + 2 * workers, config.schedule.iterations + 2 * workers):
            yield ahead.pop(0).result()
            ahead.append(pool.submit(draw, iteration))


def same_training(one: str, other: str) -> bool:
    """Whether two settings differ in nothing but length and housekeeping, so that one may go on from the other.

    A training is made longer by raising `iterations` or `minutes`; the learning rate rises to where the longer cosine
    is.
    """
    tables = [json.loads(settings) for settings in (one, other)]
    for table in tables:
        for name in ("iterations", "minutes", "validate_every", "checkpoint_minutes", "workers"):
            del table["schedule"][name]
        table["options"].pop("instances", None)  # works on what the network puts out
    return bool(tables[0] == tables[1])


def _settings(config: TrainConfig) -> str:
    """Return the settings that decide a training, as JSON; where it runs and where the data lie do not count."""
    settings = asdict(config)
    for key in ("device", "data_root", "limits", "licence"):
        del settings[key]
    return json.dumps(settings, sort_keys=True)


def main(arguments: list[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description="Train a bundle.")
    parser.add_argument("--config", type=Path, required=True, help="the training file, TOML")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--data", type=Path, help="folder that the sources' paths start from")
    parser.add_argument("--work", type=Path, help="folder of checkpoint, log and curves")
    parser.add_argument("--write-only", action="store_true", help="write the bundle of the last checkpoint and end")
    given = parser.parse_args(arguments)
    config, settings = read_config(given.config), given.config.read_text(encoding="utf-8")
    config = config.at(given.data) if given.data else config
    work = given.work or given.out.with_name(f"{given.out.name}.training")
    card = write_trained(config, given.out, work) if given.write_only else train(config, given.out, work)
    (given.out / CONFIG_FILE).write_text(settings, encoding="utf-8")  # how it was made, beside what was made
    print(json.dumps({"bundle": str(given.out), "metrics": card.metrics}, indent=2))


if __name__ == "__main__":
    main()
