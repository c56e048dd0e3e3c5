"""Progress as plain lines on stderr, without control codes: for logs, pipes and terminals that cannot do more."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from flows.pace import StagePace
from flows.progress import Paced
from flows.wording import cohort_line, facts_in_words, speed, tidy_name, time_left, waits
from pipeline.record import plain

if TYPE_CHECKING:
    from pipeline.batch import BatchDone

EVERY_S = 30.0
"""A stage that goes on is told of no oftener."""


class Lines(Paced):
    """A line when a slide begins and when it is through, and one now and then in between."""

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__()
        self._verbose = verbose
        self._told: float = time.monotonic()

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """One line; a failure takes two more, the reason and the cure."""
        super().slide(name, event, **facts)
        if event == "started":
            facts = {"": cohort_line(self.pace)}
        for line in slide_lines(name, event, facts):
            say(line)

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """Nothing yet, unless everything is asked for."""
        super().stage(name, stage, tiles)
        self._told = time.monotonic()
        if self._verbose and tiles:
            say(f"{'stage':>9}  {tidy_name(name)}: {stage}: {tiles} tiles")

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """A line, where the last is a while ago."""
        super().advance(name, stage, done)
        at_work = self.pace.at_work.get(name)
        if at_work is not None and time.monotonic() - self._told >= EVERY_S:
            self._told = time.monotonic()
            say(stage_line(at_work))

    def stage_done(self, name: str, stage: str) -> None:
        """A line with speed and waits, where everything is asked for."""
        at_work = self.pace.at_work.get(name)
        if self._verbose and at_work is not None and at_work.done:
            say(stage_line(at_work))


class FailuresOnly(Paced):
    """For those who want to hear of nothing else."""

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """Three lines a failure."""
        super().slide(name, event, **facts)
        for line in slide_lines(name, event, facts) if event == "failed" else ():
            say(line)


def slide_lines(name: str, event: str, facts: dict[str, Any]) -> list[str]:
    """What happened to a slide: one line, or three where it failed."""
    if event == "failed":
        return [f"{event:>9}  {tidy_name(name)}", *(f"{'':>9}  {plain(line, 1000)}" for line in facts.values())]
    return [f"{event:>9}  {tidy_name(name)}  {facts_in_words(facts)}".rstrip()]


def stage_line(pace: StagePace) -> str:
    """How far a stage is, how fast, and what it waits for."""
    parts = [f"{pace.done} of {pace.tiles} tiles", speed(pace), time_left(pace), waits(pace)]
    told = "  ".join(part for part in parts if part)
    return f"{'':>9}  {tidy_name(pace.slide)}: {pace.stage}  {told}"


_one_at_a_time = threading.Lock()


def say(line: str) -> None:
    """One line, whatever characters the stream can write."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with _one_at_a_time:
        print(line.encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)
