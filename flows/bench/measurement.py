"""What a benchmark gives, and how it takes time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Better = Literal["higher", "lower"]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row: something measured several times over."""

    group: str
    name: str
    """What is measured, with everything that decides the figure: sizes, threads, device, precision."""
    unit: str
    better: Better
    values: tuple[float, ...]
    """One a repetition, in the order they were taken."""
    note: str = ""
    engine: str = ""
    """What computes a network; empty where there is none."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What follows from the median, or stands beside it."""

    def __post_init__(self) -> None:
        if not self.values:
            msg = f"{self.group}: {self.name} was measured no time"
            raise ValueError(msg)

    @property
    def title(self) -> str:
        """Group and name: what `--only` looks at."""
        return titled(self.group, self.name)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same row in another bench."""
        return self.title, self.engine, self.unit

    @property
    def median(self) -> float:
        """The figure."""
        return median(self.values)

    @property
    def spread(self) -> float | None:
        """Half of what lies between the least and the greatest value; None where it was measured once."""
        return (max(self.values) - min(self.values)) / 2 if len(self.values) > 1 else None


@dataclass(frozen=True, slots=True)
class Trial:
    """Something that can be measured: its rows are named before the work begins, so that it can be left out."""

    group: str
    names: tuple[str, ...]
    measure: Callable[[], Sequence[Measurement]]

    @property
    def titles(self) -> tuple[str, ...]:
        """What `--only` looks at."""
        return tuple(titled(self.group, name) for name in self.names)


def titled(group: str, name: str) -> str:
    """Group and name of a row as one text."""
    return f"{group}: {name}"


def seconds_of(run: Callable[[], object], repeat: int, clock: Clock = time.perf_counter) -> list[float]:
    """Time something `repeat` times, after once that nobody counts: files come into memory, libraries get ready."""
    took = []
    for _ in range(repeat + 1):
        start = clock()
        run()
        took.append(clock() - start)
    return took[1:]


def rates(amount: float, seconds: Sequence[float]) -> tuple[float, ...]:
    """An amount a second, for each of several times that it took."""
    return tuple(amount / max(took, 1e-9) for took in seconds)
