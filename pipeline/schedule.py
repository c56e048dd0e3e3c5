"""Where batches run: in this process, on its threads, on local processes, or on a dask scheduler elsewhere.

A bounded number of batches is in flight at any time, so that a plan of a million batches costs the scheduler as little
as one of a hundred. dask is imported, and a cluster started, when there is a first batch to run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Self

from pipeline.batch import Batch, BatchDone, Job, run_batch
from pipeline.plan import StagePlan

OnDone = Callable[[BatchDone], None]

_log = logging.getLogger(__name__)

# More than one a thread, so that no thread waits for the driver; not many, so that a stop loses little.
_IN_FLIGHT_PER_THREAD = 2


@dataclass(frozen=True, slots=True)
class Workforce:
    """Who does the work.

    `processes` = 0 runs batches one after another in this thread, 1 on the threads of this process, more on as many
    local processes that share the cores; `scheduler`, where given, is the address of a dask scheduler to use instead.
    """

    processes: int = 1
    scheduler: str | None = None


class Workers:
    """A running workforce; `with Workers(Workforce()) as workers: workers.run(plan)`."""

    def __init__(self, workforce: Workforce) -> None:
        self._workforce = workforce
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.close()
        except TimeoutError as slow:  # a busy machine; the work is committed, so nothing is lost but a process's end
            _log.warning("worker processes did not end in time (%s); look for some that are left", slow)
        self._client = None

    def run(self, plan: StagePlan, on_done: OnDone = lambda done: None) -> None:
        """Run what is left of a plan. The first batch that fails stops the stage; what was committed stays."""
        if not plan.left:
            return
        if self._workforce.scheduler is None and self._workforce.processes == 0:
            for batch in plan.left:
                on_done(run_batch(plan.job, batch))
        else:
            self._run_on_dask(plan.job, iter(plan.left), on_done)

    def _run_on_dask(self, job: Job, batches: Iterator[Batch], on_done: OnDone) -> None:
        from distributed import as_completed

        client = self._connect()
        threads = max(1, sum(client.nthreads().values()))
        first = islice(batches, _IN_FLIGHT_PER_THREAD * threads)
        waiting = as_completed([client.submit(run_batch, job, batch, pure=False) for batch in first], loop=client.loop)
        try:
            for future in waiting:
                on_done(future.result())
                for batch in islice(batches, 1):
                    waiting.add(client.submit(run_batch, job, batch, pure=False))
        except BaseException:
            client.cancel(list(waiting.futures), force=True)
            raise

    def _connect(self) -> Any:
        if self._client is None:
            from distributed import Client

            address = self._workforce.scheduler or self._start_cluster()
            self._client = self._stack.enter_context(Client(address, set_as_default=False))
        return self._client

    def _start_cluster(self) -> Any:
        import dask
        from distributed import LocalCluster

        processes = self._workforce.processes
        # A machine that slept for minutes must not wake to a scheduler that takes its own workers for lost: a worker in
        # this process is never started again, and nannies see for themselves when one of the others dies.
        with dask.config.set({"distributed.scheduler.worker-ttl": None}):
            return self._stack.enter_context(
                LocalCluster(
                    n_workers=processes,
                    processes=processes > 1,
                    threads_per_worker=max(1, (os.cpu_count() or 1) // processes),
                    dashboard_address=":0",  # any free port: another run may go on on this machine
                    memory_limit=0,  # bounded by the batches in flight; dask's own pausing would only stall them
                )
            )
