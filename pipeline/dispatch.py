"""Hand batches to dask workers, a bounded number at a time, and notice when there is nobody left to do them.

dask does a batch again, on another worker, when a worker dies under it. What it never does is give up: without workers
a batch waits for ever. Here it is given up after a while, with the reason; what is committed stays.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from pipeline.batch import Batch, BatchDone, Job
from pipeline.errors import BatchEndsWorkers, WorkerDiffers, WorkersLost
from pipeline.remote import Parcel, run_parcel

OnDone = Callable[[BatchDone], None]

# More than one a thread, so that no thread waits for the driver; not many, so that a stop loses little.
IN_FLIGHT_PER_THREAD = 2

# A message to a worker and its answer cost some 4 ms of the driver and the scheduler each (docs/explanation/scale.md).
# So batches share one while together they take no longer than this, s: that bounds what a stop loses, too.
_MESSAGE_S = 0.2
_MOST_BATCHES_PER_MESSAGE = 16

# How often workers are counted, s: they come and go on a cluster, and the batches in flight go with them.
_LOOK_S = 2.0

# How long the scheduler may take to answer, s.
_ANSWER_S = 30.0

AGAIN = "Mend that, then run the same command again: it goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is in flight, and how long nobody is waited for."""

    most_in_flight: int | None = None
    """Batches at any time, where fewer than two a thread are wanted: each holds its pixels in memory. Those that share
    a message are done one after the other, and count as one."""
    of_each_worker: bool = False
    """Whether `most_in_flight` is of every worker, as each has memory of its own."""
    patience_s: float = 60.0
    """How long to wait for a worker when there is none."""


class Dispatch:
    """One stage's batches on their way; `Dispatch(client, job, limits).run(batches, on_done)`."""

    def __init__(self, client: Any, job: Job, limits: Limits) -> None:
        self._client = client
        self._stage = job.stage.name
        self._parcel = Parcel.of(job)
        self._limits = limits
        self._waiting: dict[Any, tuple[Batch, ...]] = {}
        self._together = 1
        self._finished: SimpleQueue[Any] = SimpleQueue()
        self._threads = self._workers = 0
        self._looked_s = self._crewed_s = time.monotonic()

    def run(self, batches: Iterator[Batch], on_done: OnDone) -> None:
        """Run batches to the last one; the first that fails stops all.

        Raises
        ------
        WorkersLost
            if there is no worker, or no scheduler, for as long as `limits` allows
        BatchEndsWorkers
            if one worker after another died under the same batch
        WorkerDiffers
            if a worker has something else installed
        """
        try:
            self._look()
            self._submit(batches)
            while self._waiting:
                future = self._next()
                done = self._result(future, self._waiting.pop(future))
                self._together = fitting_one_message(max(batch.seconds for batch in done))
                for batch in done:
                    on_done(batch)
                self._submit(batches)
        except BaseException:
            self._cancel()
            raise

    @property
    def _most_in_flight(self) -> int:
        crowd = IN_FLIGHT_PER_THREAD * max(1, self._threads)
        bound = (self._limits.most_in_flight or crowd) * (max(1, self._workers) if self._limits.of_each_worker else 1)
        return min(crowd, bound)

    def _submit(self, batches: Iterator[Batch]) -> None:
        while len(self._waiting) < self._most_in_flight and (together := tuple(islice(batches, self._together))):
            future = self._client.submit(run_parcel, self._parcel, together, pure=False)
            self._waiting[future] = together
            future.add_done_callback(self._finished.put)

    def _next(self) -> Any:
        """The next future that is through, whatever became of it."""
        while True:
            if time.monotonic() - self._looked_s > _LOOK_S:
                self._look()
            with suppress(Empty):
                return self._finished.get(timeout=_LOOK_S)

    def _look(self) -> None:
        """Count the workers' threads; `WorkersLost` where there have been none for too long, or nobody says."""
        address = self._client.scheduler.address
        if any(future.cancelled() for future in self._waiting):  # by the client, when its connection broke
            raise scheduler_lost(address, self._stage)
        try:
            threads = self._client.sync(self._client.scheduler.ncores, callback_timeout=_ANSWER_S)
        except Exception as error:
            raise scheduler_lost(address, self._stage) from error
        now = self._looked_s = time.monotonic()
        self._threads, self._workers = sum(threads.values()), len(threads)
        if self._threads:
            self._crewed_s = now
        elif now - self._crewed_s > self._limits.patience_s:
            msg = f"scheduler {address}: no worker for {self._limits.patience_s:g} s, in stage {self._stage}"
            raise WorkersLost(msg, f"Start workers (dask worker {address}), or see in their logs why they end. {AGAIN}")

    def _result(self, future: Any, batches: tuple[Batch, ...]) -> tuple[BatchDone, ...]:
        from distributed.scheduler import KilledWorker

        try:
            done: tuple[BatchDone, ...] = future.result()
        except KilledWorker as error:
            msg = f"{_named(batches)} of stage {self._stage}: worker after worker ended while doing it: {error}"
            cure = f"Most likely their memory ran out: fewer threads a worker, --max-memory, or --core-px 512. {AGAIN}"
            raise BatchEndsWorkers(msg, cure) from error
        except (CancelledError, OSError) as error:
            if self._client.status == "running" and isinstance(error, OSError):
                raise  # the batch's own: a disk, a file
            raise scheduler_lost(self._client.scheduler.address, self._stage) from error
        except (ImportError, AttributeError, RuntimeError) as error:
            if _raised_within(error, run_parcel.__name__):
                raise  # the batch's own fault
            msg = f"scheduler {self._client.scheduler.address}: its side cannot unpack a batch: {_last_words(error)}"
            raise WorkerDiffers(msg, f"Install the same histoloom beside scheduler and workers. {AGAIN}") from error
        return done

    def _cancel(self) -> None:
        with suppress(Exception):  # what stopped the run is the news, not that cancelling failed on top of it
            if self._waiting and self._client.status == "running":
                self._client.cancel(list(self._waiting), force=True)


def fitting_one_message(batch_s: float) -> int:
    """How many batches of so many seconds share a message."""
    return int(min(max(_MESSAGE_S / max(batch_s, 1e-6), 1), _MOST_BATCHES_PER_MESSAGE))


def refuse_strangers(client: Any) -> None:
    """Raise `WorkerDiffers` where a worker has no histoloom that could even open a batch; one short message a worker.

    The question is one that Python itself can answer. Whether the histoloom there is the same one, a batch finds out
    for itself (`run_parcel`), on workers too that come later.
    """
    module = run_parcel.__module__
    for worker, found in client.run(find_spec, module, on_error="return").items():
        if found is None or isinstance(found, ImportError):  # what else was no answer: batches will show
            msg = f"worker {worker}: not the same installation: it has no {module} of histoloom's"
            raise WorkerDiffers(msg, f"Install the same histoloom on every worker as here. {AGAIN}")


def scheduler_lost(address: str, stage: str) -> WorkersLost:
    """The scheduler ended, was started anew, or cannot be reached."""
    msg = f"scheduler {address}: connection lost, or the scheduler was started anew, in stage {stage}"
    return WorkersLost(msg, f"See that the scheduler and its workers run. {AGAIN}")


def _named(batches: tuple[Batch, ...]) -> str:
    if len(batches) == 1:
        return f"batch {batches[0].number}"
    return f"one of the batches {', '.join(str(batch.number) for batch in batches)}"


def _raised_within(error: BaseException, function: str) -> bool:
    """Whether an error came out of a function, here or on a worker."""
    return any(frame.f_code.co_name == function for frame, _ in traceback.walk_tb(error.__traceback__))


def _last_words(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())
