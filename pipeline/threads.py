"""Batches on the threads of this process, without a scheduler: what a run on one machine starts with.

A dask scheduler with one worker in this process does the same, after half a second of starting and importing, with two
messages a batch, and with threads of its own that look at the workers hundred times a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from pipeline.allocator import keep_freed_memory
from pipeline.batch import Batch, BatchDone, Job, run_batch

# Signals are heard between two waits, s; what is waited for wakes the driver at once.
_LOOK_S = 2.0


class Threads:
    """Threads that live as long as the process; one that is at work when the process ends is cut off, as by a kill."""

    def __init__(self, count: int) -> None:
        self._errands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.count = count
        keep_freed_memory()
        for number in range(count):
            threading.Thread(target=self._serve, name=f"batches-{number}", daemon=True).start()

    def run(
        self, job: Job, batches: Iterator[Batch], on_done: Callable[[BatchDone], None], at_once: int | None = None
    ) -> None:
        """Run batches to the last one, at most `at_once` of them at the same time; the first that fails stops all.

        Batches that others are at work on when one fails are ended and committed, but not waited for.
        """
        errand = _Errand(job, batches)
        left = min(self.count, at_once or self.count)
        for _ in range(left):
            self._errands.put(errand)
        try:
            while left:
                try:
                    said = errand.said.get(timeout=_LOOK_S)
                except Empty:
                    continue
                if isinstance(said, BaseException):
                    raise said
                if said is None:
                    left -= 1
                else:
                    on_done(said)
        finally:
            errand.stop()

    def dismiss(self) -> None:
        """Let the threads end when they are through with what they are at."""
        for _ in range(self.count):
            self._errands.put(_end_thread)

    def _serve(self) -> None:
        while (errand := self._errands.get()) is not _end_thread:
            errand()
            del errand  # holds a stage's batches


def _end_thread() -> None:
    """Never called: what a thread is given to end."""


class _Errand:
    """The batches of one stage, which several threads take from, one after the other."""

    def __init__(self, job: Job, batches: Iterator[Batch]) -> None:
        self.said: SimpleQueue[BatchDone | BaseException | None] = SimpleQueue()
        """Of each batch what became of it; of each thread, at its end, None."""
        self._job = job
        self._batches: Iterator[Batch] = batches
        self._lock = threading.Lock()

    def __call__(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self.said.put(run_batch(self._job, batch))
            except BaseException as error:
                self.stop()
                self.said.put(error)
                return
        self.said.put(None)

    def stop(self) -> None:
        """Give out no further batch."""
        with self._lock:
            self._batches = iter(())

    def _next(self) -> Batch | None:
        with self._lock:
            return next(self._batches, None)
