"""How a run is getting on: what is done, how fast, what it waits for, how long it may yet take. No words, no colours.

The displays draw this; it draws nothing. Seconds are those of `clock`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.batch import BatchDone

Clock = Callable[[], float]

_WINDOW_S = 30.0
"""Speed is that of the last half minute, or of the last few batches where these took longer."""
_FEW = 4


class Mark(NamedTuple):
    """How far a stage was at a moment."""

    at: float
    tiles: int
    megapixels: float


@dataclass(slots=True)
class StagePace:
    """One stage of one slide, since this run began it."""

    slide: str
    stage: str
    tiles: int
    """What this run has to do of it."""
    clock: Clock = time.monotonic
    done: int = 0
    megapixels: float = 0.0
    work_s: float = 0.0
    """What its batches took, those at the same time added up."""
    spent: dict[str, float] = field(default_factory=lambda: {"reading": 0.0, "device": 0.0, "writing": 0.0})
    began: float = 0.0
    _marks: deque[Mark] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self._marks.append(Mark(self.began, 0, 0.0))

    def add(self, batch: BatchDone) -> None:
        """A batch is done."""
        self.done += batch.tiles
        self.megapixels += batch.core_px / 1e6
        self.work_s += batch.seconds
        for what in self.spent:
            self.spent[what] += getattr(batch.spent, what)
        now = self.clock()
        self._marks.append(Mark(now, self.done, self.megapixels))
        while len(self._marks) > _FEW and now - self._marks[1].at > _WINDOW_S:
            self._marks.popleft()

    @property
    def tiles_per_s(self) -> float:
        """Of late; 0 before the first batch."""
        first, seconds = self._lately()
        return (self.done - first.tiles) / seconds

    @property
    def megapixels_per_s(self) -> float:
        """Of late, of what tiles own."""
        first, seconds = self._lately()
        return (self.megapixels - first.megapixels) / seconds

    def _lately(self) -> tuple[Mark, float]:
        return self._marks[0], max(self._marks[-1].at - self._marks[0].at, 1e-9)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.clock() - self.began

    @property
    def left_s(self) -> float | None:
        """What it will yet take at this speed; None while nothing is known."""
        if not self.done:
            return None
        since = self.clock() - self._marks[-1].at
        return max((self.tiles - self.done) / max(self.tiles_per_s, 1e-9) - since, 0.0)

    @property
    def shares(self) -> dict[str, float]:
        """0 to 1: what batches spend on reading, on waiting for the device, on writing; none before the first."""
        if not self.work_s:
            return {}
        return {what: min(seconds / self.work_s, 1.0) for what, seconds in self.spent.items()}


@dataclass(slots=True)
class CohortPace:
    """All slides of a run."""

    clock: Clock = time.monotonic
    slides: int = 0
    """How many there are to look at; 0 where nobody knows, as in an inbox."""
    ends: dict[str, str] = field(default_factory=dict)
    """Slide to `done`, `unchanged` or `failed`."""
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Slide to reason and cure."""
    at_work: dict[str, StagePace | None] = field(default_factory=dict)
    """Slide to the stage that it is in."""
    began: float = 0.0
    _worked_s: list[float] = field(default_factory=list)
    _started: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def note(self, slide: str, event: str, reason: str = "", cure: str = "") -> None:
        """Something happened to a slide."""
        if event == "started":
            self.at_work[slide], self._started[slide] = None, self.clock()
        elif event in ("done", "unchanged", "failed"):
            self.at_work.pop(slide, None)
            self.ends[slide] = event
            self.failures.pop(slide, None)
            if event == "failed":
                self.failures[slide] = (reason, cure)
            start = self._started.pop(slide, None)
            if start is not None and event == "done":
                self._worked_s.append(self.clock() - start)

    def enter(self, slide: str, stage: str, tiles: int) -> StagePace:
        """A stage begins."""
        self.at_work[slide] = StagePace(slide, stage, tiles, self.clock)
        return self.at_work[slide]  # type: ignore[return-value]  # what was put there

    def count(self, end: str) -> int:
        """How many slides came to this end."""
        return sum(one == end for one in self.ends.values())

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self.clock() - self.began

    @property
    def left_s(self) -> float | None:
        """What the cohort may yet take, if slides go on as those that are done; None before the first."""
        left = self.slides - len(self.ends)
        if not self._worked_s or left <= 0:
            return None
        each = sum(self._worked_s) / len(self._worked_s)
        now = self.clock()
        begun = sum(min(now - start, each) for start in self._started.values())
        return max(left * each - begun, 0.0)


def clock_time(seconds: float) -> str:
    """Such as 0:42, 12:03 or 27:46:40."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
