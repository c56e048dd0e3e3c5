"""The loop: one for super-resolution, nuclei and classification, with a rival or without.

Mixed precision (bf16 autocast) in channels-last order on the CPU and on CUDA alike; AdamW; a learning rate that warms
up and falls as a cosine; a running mean of the weights, which is what is validated and shipped. Every batch is drawn
from (seed, iteration) alone, so a training that is stopped and called again goes on where it was, and ends the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.backbone import backbone_of, hold_still, parameter_groups
from models.batches import Batch
from models.checkpoint import load, save
from models.device import choose_device
from models.errors import TrainingError
from models.learning_rate import rate, share_done
from models.tasks import Task
from models.train_config import TrainConfig
from models.train_network import begin
from models.train_settings import progress_of, refuse_other_training
from models.training_log import Row, TrainingLog
from models.turns import NETWORK, Turn

Watch = Callable[[float, Row | None], None]
"""Hears after every step what share of the training is done, and the row of figures where one was added."""


@dataclass(frozen=True, slots=True)
class Player:
    """A network that learns, with what moves its weights."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    learning_rate: float


class Training:
    """A training's moving parts: players, running mean, progress, log."""

    def __init__(self, config: TrainConfig, task: Task, work: Path) -> None:
        self.config, self.task, self.work = config, task, work
        self.device = choose_device(config.device)
        torch.manual_seed(config.seed)
        self.network = begin(config)
        self.backbone = backbone_of(self.network, config.schedule, config.name)
        self.players = self._players()
        self.networks = {name: player.network for name, player in self.players.items()}
        self.mean = deepcopy(self.network).eval().requires_grad_(False)
        self.best: dict[str, Tensor] = {}
        self.progress = progress_of(config, task.split()["train_patients"])
        self._resume()
        self.log = TrainingLog(work, up_to_iteration=self.progress.iteration)

    def _players(self) -> dict[str, Player]:
        schedule, players = self.config.schedule, {}
        ours = (self.network, schedule.learning_rate, schedule.betas)
        others = {name: (one.network, one.learning_rate, one.betas) for name, one in self.task.rivals().items()}
        for name, (network, learning_rate, betas) in ({NETWORK: ours} | others).items():
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            apart = (self.backbone, schedule.backbone_learning_rate_share) if name == NETWORK else ()
            groups = parameter_groups(network, *apart)
            optimiser = torch.optim.AdamW(groups, learning_rate, betas=betas, weight_decay=schedule.weight_decay)
            players[name] = Player(network, optimiser, learning_rate)
        return players

    def _resume(self) -> None:
        checkpoint = load(self.work)
        if checkpoint is None:
            return
        refuse_other_training(checkpoint.progress, self.progress, self.work)
        for name, player in self.players.items():
            checkpoint.restore(name, player.network, player.optimiser)
        self.mean.load_state_dict(checkpoint.part("mean"))
        self.best = checkpoint.part("best")
        self.progress = replace(checkpoint.progress, settings=self.progress.settings)

    def run(self, watch: Watch = lambda share, row: None) -> None:
        """Train from the present iteration to the end, with checkpoints, log and curves."""
        schedule, losses, saved = self.config.schedule, [], time.monotonic()
        batches = _draw_ahead(self.task, self.config, self.progress.iteration)
        while share_done(schedule, self.progress) < 1:
            start, row = time.monotonic(), None
            losses.append(self.step(next(batches)))
            self.progress = self.progress.after(time.monotonic() - start)
            share = share_done(schedule, self.progress)
            if self.progress.iteration % schedule.validate_every == 0 or share >= 1:
                row = self._look(_mean_of(losses))
                losses.clear()
            if time.monotonic() - saved > 60 * schedule.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
            watch(share, row)
        self.save()

    def step(self, batches: Sequence[Batch]) -> Row:
        """Let every player take its turns, each on its batch, move the running mean, and return the losses."""
        schedule = self.config.schedule
        torch.manual_seed(self.config.seed + 1_000_003 * self.progress.iteration)  # dropout, the same when resumed
        losses = {turn.player: self._take(turn, self._parts(batches[turn.batch])) for turn in self.task.turns()}
        update_mean(self.mean, self.network, schedule.ema_decay, self.progress.iteration)
        return {"loss" if name == NETWORK else f"loss_{name}": loss for name, loss in losses.items()}

    def _parts(self, batch: Batch) -> list[Batch]:
        whole = {name: one.to(self.device) for name, one in batch.items()}
        return [dict(zip(whole, part, strict=True)) for part in _split(whole, self.config.schedule.accumulate)]

    def _take(self, turn: Turn, parts: list[Batch]) -> float:
        """Take one step of a player down the gradient of its loss, the mean over the parts of a batch."""
        player, schedule = self.players[turn.player], self.config.schedule
        for name, network in self.networks.items():
            network.train()
            network.requires_grad_(name == turn.player)
        if self.progress.iteration < schedule.freeze_backbone_iterations:
            hold_still(self.backbone)
        for group in player.optimiser.param_groups:
            group["lr"] = player.learning_rate * group["share"] * rate(schedule, self.progress)
        player.optimiser.zero_grad(set_to_none=True)
        total, examples = 0.0, sum(_count(part) for part in parts)
        for part in parts:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                loss = turn.loss(self.networks, part) * (_count(part) / examples)
            total += float(loss.detach())
            self._refuse_no_number(total, turn.player)
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(player.network.parameters(), schedule.clip_norm)
        player.optimiser.step()
        return total

    def _refuse_no_number(self, loss: float, player: str) -> None:
        if not math.isfinite(loss):
            whose = "" if player == NETWORK else f" of the {player}"
            what = f"{self.config.name}: the loss{whose} is {loss} at iteration {self.progress.iteration}"
            raise TrainingError(what, f"Lower `learning_rate`; the last checkpoint in {self.work}, if any, is kept.")

    def _look(self, losses: Row) -> Row:
        with torch.no_grad():
            figures = self.task.validate(self.mean)
        row = {
            "iteration": self.progress.iteration,
            "minutes": self.progress.seconds / 60,
            "learning_rate": self.players[NETWORK].optimiser.param_groups[0]["lr"],
        }
        row |= losses | figures
        self.log.add(row)
        self._keep_best(figures)
        return row

    def _keep_best(self, figures: Row) -> None:
        if self.task.better is None or self.task.better[0] not in figures:
            return
        name, wanted = self.task.better
        value, best = figures[name], self.progress.best
        if best is None or (value > best if wanted == "highest" else value < best):
            self.best = {key: tensor.detach().cpu().clone() for key, tensor in self.mean.state_dict().items()}
            self.progress = replace(self.progress, best=value, best_iteration=self.progress.iteration)

    def save(self) -> None:
        """Write the checkpoint."""
        optimisers = {name: player.optimiser for name, player in self.players.items()}
        states = {name: network.state_dict() for name, network in self.networks.items()}
        save(self.work, self.progress, optimisers, states | {"mean": self.mean.state_dict(), "best": self.best})


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


def _mean_of(rows: list[Row]) -> Row:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _count(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _split(batch: Batch, parts: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield a batch in so many parts, what does not fit memory at once."""
    return zip(*(tensor.tensor_split(min(parts, _count(batch))) for tensor in batch.values()), strict=True)


def draw_batches(task: Task, config: TrainConfig, iteration: int) -> list[Batch]:
    """Return the batches of an iteration, which follow from it and the seed alone."""
    batches = 1 + max(turn.batch for turn in task.turns())
    rngs = [np.random.default_rng((config.seed, iteration, *([place] if place else []))) for place in range(batches)]
    return [task.draw(rng, config.schedule.batch) for rng in rngs]


def _draw_ahead(task: Task, config: TrainConfig, first: int) -> Iterator[list[Batch]]:
    """Yield the batches from iteration `first` on, drawn in `workers` threads ahead of their use."""

    def draw(iteration: int) -> list[Batch]:
        return draw_batches(task, config, iteration)

    workers = config.schedule.workers
    if not workers:
        for iteration in range(first, config.schedule.iterations):
            yield draw(iteration)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: list[Future[list[Batch]]] = [pool.submit(draw, first + place) for place in range(2 * workers)]
        for iteration in range(first + 2 * workers, config.schedule.iterations + 2 * workers):
            yield ahead.pop(0).result()
            ahead.append(pool.submit(draw, iteration))
