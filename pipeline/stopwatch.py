"""What a batch spends its time on: reading pixels, waiting for the network's answer, writing.

`run_batch` starts a stopwatch; whatever reads, computes or writes within it says so (`spending`), wherever it lies in
the code. Two readings of the clock a call; nothing where no stopwatch runs. Of calls within each other the outermost
counts, so that no second counts twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

On = Literal["reading", "device", "writing"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one batch, or of many together; what is left of their time is work of this process's own."""

    reading: float = 0.0
    """Pixels from the slide or the store."""
    device: float = 0.0
    """The network's answers: its turn on the device, and its computing."""
    writing: float = 0.0
    """Pixels and rows, until they survive a power cut."""

    def __add__(self, other: Spent) -> Spent:
        """Of both together."""
        return Spent(self.reading + other.reading, self.device + other.device, self.writing + other.writing)


@dataclass(frozen=True, slots=True)
class Span:
    """When one thing was done."""

    what: On
    start_s: float
    """Since the epoch: spans of several processes are laid beside each other."""
    seconds: float


class Stopwatch:
    """Adds up what one batch spends, in the thread that does it, and keeps when."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._since_epoch = time.time() - time.perf_counter()
        self._seconds: dict[On, float] = {"reading": 0.0, "device": 0.0, "writing": 0.0}
        self._within = False

    @contextmanager
    def on(self, what: On) -> Iterator[None]:
        """Count the block, unless it is part of one that is counted."""
        if self._within:
            yield
            return
        self._within, start = True, time.perf_counter()
        try:
            yield
        finally:
            self.add(what, start, time.perf_counter())
            self._within = False

    def add(self, what: On, start: float, end: float) -> None:
        """Count what lay between two readings of `time.perf_counter`."""
        self._seconds[what] += end - start
        self.spans.append(Span(what, self._since_epoch + start, end - start))

    @property
    def spent(self) -> Spent:
        """So far."""
        return Spent(**self._seconds)


_running: ContextVar[Stopwatch | None] = ContextVar("running", default=None)


@contextmanager
def started() -> Iterator[Stopwatch]:
    """Have a stopwatch run in this thread."""
    watch = Stopwatch()
    token = _running.set(watch)
    try:
        yield watch
    finally:
        _running.reset(token)


def spending(what: On) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function's time count where a stopwatch runs."""

    def counted(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            watch = _running.get()
            if watch is None:
                return function(*args, **kwargs)
            with watch.on(what):
                return function(*args, **kwargs)

        return call

    return counted
