"""A few tiles of one stage of one slide, done and committed together: the unit that travels to a worker."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

from pipeline.allocator import keep_freed_memory
from pipeline.at_work import one_more_batch
from pipeline.durable import synced_together
from pipeline.grid import Tile
from pipeline.stage import Stage
from pipeline.stopwatch import Span, Spent, started
from pipeline.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Batch:
    """Tiles that are committed together. `number` is the same in every run of the same plan."""

    number: int
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What every batch of a stage has in common."""

    workspace: Workspace
    stage: Stage


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Which thread did a batch, and when."""

    process: int
    thread: int
    start_s: float
    """Since the epoch, by the worker's clock."""
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchDone:
    """What the driver hears of a batch: no pixels, no rows."""

    number: int
    tiles: int
    core_px: int
    seconds: float
    spent: Spent = field(default_factory=Spent)
    """What of the seconds went where."""
    where: Whereabouts | None = None


def run_batch(job: Job, batch: Batch) -> BatchDone:
    """Do a batch where the pixels are, then commit it: the one function that runs on workers."""
    start = time.perf_counter()
    keep_freed_memory()
    with job.workspace.writing(), one_more_batch(), started() as watch:
        with synced_together():  # pixels for good, then the mark that says so
            rows = job.stage.run(batch.tiles, job.workspace)
            computed = time.perf_counter()
        job.workspace.ledger(job.stage.name).commit(batch.number, rows)
        watch.add("writing", computed, time.perf_counter())
    seconds = time.perf_counter() - start
    area_px = sum(tile.core.area_px for tile in batch.tiles)
    where = Whereabouts(os.getpid(), threading.get_ident(), time.time() - seconds, tuple(watch.spans))
    return BatchDone(batch.number, len(batch.tiles), area_px, seconds, watch.spent, where)
