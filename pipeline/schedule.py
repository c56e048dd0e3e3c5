"""Where batches run: in this process, on its threads, on local processes, on a dask scheduler or cluster elsewhere.

A bounded number of batches is in flight at any time, so that a plan of a million batches costs the scheduler as little
as one of a hundred. dask is imported, and a cluster started, when there is a first batch to run.
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pipeline.batch import run_batch
from pipeline.cluster_config import Cluster
from pipeline.dispatch import AGAIN, Dispatch, Limits, OnDone, refuse_strangers
from pipeline.errors import ConfigError, WorkerDiffers, WorkersLost
from pipeline.plan import StagePlan
from pipeline.threads import Threads

_log = logging.getLogger(__name__)

# How long a scheduler may take to be reached, and how long a goodbye to it may take, s.
_REACH_S, _GOODBYE_S = 15.0, 10.0


@dataclass(frozen=True, slots=True)
class Workforce:
    """Who does the work.

    `processes` = 0 runs batches one after another in this thread, 1 on the threads of this process, more on as many
    local processes that share the cores, by dask; `scheduler`, where given, is the address of a dask scheduler to use
    instead, and `cluster` one to start.
    """

    processes: int = 1
    scheduler: str | None = None
    cluster: Cluster | None = None
    patience_s: float = 60.0
    """How long to wait for a worker when there is none; a cluster has a patience of its own."""

    @classmethod
    def choose(cls, processes: int | None, scheduler: str | None, cluster: Cluster | None) -> Workforce:
        """What the command line says goes before the `[cluster]` of a file.

        Raises ConfigError where both are given: a scheduler's workers are as many as were started there.
        """
        if scheduler is not None and processes is not None:
            msg = f"--workers {processes} and --scheduler {scheduler}: work is done here or there"
            raise ConfigError(msg, "Give one of the two; a scheduler has as many workers as were started for it.")
        if scheduler is not None or processes is not None or cluster is None:
            return cls(1 if processes is None else processes, scheduler)
        return cls(cluster=cluster, patience_s=cluster.patience_s)

    @property
    def elsewhere(self) -> bool:
        """Whether workers have machines of their own."""
        return self.scheduler is not None or (self.cluster is not None and self.cluster.kind in ("slurm", "kubernetes"))

    @property
    def in_this_process(self) -> bool:
        """Whether the threads of this process do it, without a scheduler."""
        return self.processes == 1 and self.scheduler is None and self.cluster is None

    @property
    def in_this_thread(self) -> bool:
        """Whether dask has no part in it."""
        return self.processes == 0 and self.scheduler is None and self.cluster is None


def count_cores() -> int:
    """Cores that this process may use: a job of a cluster has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A running workforce; `with Workers(Workforce()) as workers: workers.run(plan)`."""

    def __init__(self, workforce: Workforce) -> None:
        self.workforce = workforce
        self._stack = ExitStack()
        self._client: Any = None
        self._threads: Threads | None = None

    def __enter__(self) -> Self:
        """Raise ConfigError where what the cluster needs is not installed, before any slide is begun."""
        if self.workforce.cluster:
            from pipeline.cluster import require_library

            require_library(self.workforce.cluster)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dismiss()

    def run(self, plan: StagePlan, on_done: OnDone = lambda done: None, most_in_flight: int | None = None) -> None:
        """Run what is left of a plan. The first batch that fails stops the stage; what was committed stays.

        `most_in_flight`, where given, bounds the batches that are worked on at the same time, and so their memory; of
        workers that have machines of their own, those of each.

        Raises
        ------
        WorkersLost, WorkerDiffers, BatchEndsWorkers
            see `pipeline.dispatch`; whatever a batch raises is raised as it is
        """
        if not plan.left:
            return
        if self.workforce.in_this_thread:
            for batch in plan.left:
                on_done(run_batch(plan.job, batch))
            return
        if self.workforce.in_this_process:
            self._threads = self._threads or Threads(count_cores())
            self._threads.run(plan.job, iter(plan.left), on_done, most_in_flight)
            return
        limits = Limits(most_in_flight, self.workforce.elsewhere, self.workforce.patience_s)
        try:
            if self._client is None:
                self._client = self._connect()
                refuse_strangers(self._client)
            Dispatch(self._client, plan.job, limits).run(iter(plan.left), on_done)
        except (WorkersLost, WorkerDiffers):
            self._dismiss()  # the next slide finds out for itself whether workers are there again
            raise

    def _connect(self) -> Any:
        from distributed import Client

        address = self.workforce.scheduler or self._start_cluster()
        try:
            return Client(address, set_as_default=False, timeout=_REACH_S)
        except OSError as error:
            msg = f"scheduler {self.workforce.scheduler}: cannot be reached within {_REACH_S:g} s"
            raise WorkersLost(msg, f"See that it runs there (dask scheduler). {AGAIN}") from error
        except ValueError as error:
            msg = f"scheduler {self.workforce.scheduler}: no address of a scheduler ({error})"
            raise ConfigError(msg, "Write it as tcp://HOST:PORT.") from error

    def _start_cluster(self) -> Any:
        from pipeline.cluster import local_cluster, start_cluster

        processes = max(1, self.workforce.processes)
        threads = max(1, count_cores() // processes)
        cluster = self.workforce.cluster
        return self._stack.enter_context(start_cluster(cluster) if cluster else local_cluster(processes, threads))

    def _dismiss(self) -> None:
        """Let go of threads, of the scheduler, and of the cluster where it is our own."""
        if self._threads:
            self._threads.dismiss()
            self._threads = None
        client, self._client = self._client, None
        try:
            if client is not None:
                with suppress(OSError, RuntimeError):  # a scheduler that is gone says no goodbye, one anew no welcome
                    client.close(timeout=_GOODBYE_S)
            self._stack.close()
        except TimeoutError as slow:  # a busy machine; the work is committed, so nothing is lost but a process's end
            _log.warning("worker processes did not end in time (%s); look for some that are left", slow)
