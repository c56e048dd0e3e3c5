"""Progress as plain lines on stderr, without control codes: for logs, pipes and terminals that cannot do more."""

from __future__ import annotations

import shutil
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

from flows.pace import CohortPace, StagePace
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
        for line in slide_lines(name, event, facts, self.pace):
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
        for line in slide_lines(name, event, facts, self.pace) if event == "failed" else ():
            say(line)


def slide_lines(name: str, event: str, facts: dict[str, Any], pace: CohortPace) -> list[str]:
    """What happened to a slide: one line, or three where it failed; of several, the end of the run says the cures."""
    if event == "failed" and pace.slides > 1:
        facts = {"": facts.get("reason")}
    elif event == "failed":
        return [f"{event:>9}  {tidy_name(name)}", *(f"{'':>9}  {plain(line, 1000)}" for line in facts.values())]
    return [f"{event:>9}  {tidy_name(name)}  {facts_in_words(facts)}".rstrip()]


def stage_line(pace: StagePace) -> str:
    """How far a stage is, how fast, and what it waits for."""
    parts = [f"{pace.done} of {pace.tiles} tiles", speed(pace), time_left(pace), waits(pace)]
    told = "  ".join(part for part in parts if part)
    return f"{'':>9}  {tidy_name(pace.slide)}: {pace.stage}  {told}"


def broken(line: str, columns: int) -> list[str]:
    """A line as several that fit, later ones under the words of the first; as it is where a word never fits."""
    told = line.lstrip()
    lead = len(line) - len(told)
    indent = lead if lead > _LEAD or "  " not in told else line.index("  ", lead) + 2
    indent = min(indent, columns // 3)
    if len(line) <= columns or any(len(word) > columns - indent for word in told.split()):
        return [line]
    first, *rest = textwrap.wrap(told, columns - lead, break_on_hyphens=False, drop_whitespace=True) or [""]
    more = textwrap.wrap(" ".join(rest), columns - indent, break_on_hyphens=False)
    return [" " * lead + first, *(" " * indent + part for part in more)]


_LEAD = 7
_one_at_a_time = threading.Lock()


def say(line: str, *, whole: bool = False) -> None:
    """One line, whatever characters the stream can write; broken between words where a terminal is narrower.

    `whole` ones are not: paths and commands, that people copy.
    """
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    if sys.stderr.isatty() and not whole:
        line = "\n".join(broken(line, shutil.get_terminal_size().columns))
    with _one_at_a_time:
        print(line.encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)
