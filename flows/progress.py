"""Who hears of a run while it goes on: nobody, a program that reads a JSON line an event, or a person.

What a person sees lies in `flows.board` (a terminal) and `flows.lines` (anything else).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from flows.pace import CohortPace

if TYPE_CHECKING:
    from pipeline.batch import BatchDone


class Progress(Protocol):
    """Hears of everything that happens to slides."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def cohort(self, event: str, **facts: Any) -> None:
        """The run `started` (so many slides, results go there), `stopped` or `ended`."""
        ...

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """Something happened to a slide: `started`, `planned` (what it will take), `done`, `unchanged`, `failed`."""
        ...

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """A stage begins, with so many tiles to do."""
        ...

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """A batch of a stage is done."""
        ...

    def stage_done(self, name: str, stage: str) -> None:
        """A stage is through."""
        ...


class Quiet:
    """Says nothing: for Prefect, whose own log tells of stages, and for other programs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def cohort(self, event: str, **facts: Any) -> None:
        """See `Progress`."""

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """See `Progress`."""

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """See `Progress`."""

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """See `Progress`."""

    def stage_done(self, name: str, stage: str) -> None:
        """See `Progress`."""


class Paced(Quiet):
    """Keeps count, for those that show it."""

    def __init__(self) -> None:
        self.pace = CohortPace()
        self.last_words: Callable[[KeyboardInterrupt], None] | None = None
        """Called as soon as the run is stopped: to end it in order may take a moment."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt) and self.last_words is not None:
            self.last_words(error)

    def cohort(self, event: str, **facts: Any) -> None:
        """See `Progress`."""
        if event == "started":
            self.pace.slides = facts["slides"]

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """See `Progress`."""
        self.pace.note(name, event, facts.get("reason", ""), facts.get("cure", ""))

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """See `Progress`."""
        self.pace.enter(name, stage, tiles)

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """See `Progress`."""
        at_work = self.pace.at_work.get(name)
        if at_work is not None:
            at_work.add(done)


class JsonLines(Paced):
    """One JSON object a line and event on stderr, for programs that watch; docs/reference/events.md says which."""

    def cohort(self, event: str, **facts: Any) -> None:
        """`run-started`, `run-stopped`, `run-ended`."""
        super().cohort(event, **facts)
        self.say(event=f"run-{event}", **facts)

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """`{"event": "slide-done", "slide": ...}`."""
        super().slide(name, event, **facts)
        self.say(event=f"slide-{event}", slide=name, **facts)

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """`{"event": "stage", "slide": ..., "stage": ..., "tiles": ...}`."""
        super().stage(name, stage, tiles)
        self.say(event="stage", slide=name, stage=stage, tiles=tiles)

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """`{"event": "tiles", "done": ..., "of": ...}`."""
        super().advance(name, stage, done)
        at_work = self.pace.at_work[name]
        if at_work is not None:
            facts: dict[str, Any] = {"done": at_work.done, "of": at_work.tiles}
            facts |= {"megapixels": round(at_work.megapixels, 3), "tiles_per_s": round(at_work.tiles_per_s, 3)}
            facts |= {"megapixels_per_s": round(at_work.megapixels_per_s, 3)}
            facts["left_s"] = None if at_work.left_s is None else round(at_work.left_s, 1)
            self.say(event="tiles", slide=name, stage=stage, **facts)

    def stage_done(self, name: str, stage: str) -> None:
        """`{"event": "stage-done", ...}`, with what its time went to."""
        at_work = self.pace.at_work.get(name)
        if at_work is not None:
            facts: dict[str, Any] = {"tiles": at_work.done, "megapixels": round(at_work.megapixels, 3)}
            facts |= {"seconds": round(at_work.seconds, 3), "work_s": round(at_work.work_s, 3)}
            facts |= {f"{what}_s": round(seconds, 3) for what, seconds in at_work.spent.items()}
            self.say(event="stage-done", slide=name, stage=stage, **facts)

    @staticmethod
    def say(**facts: Any) -> None:
        """One line."""
        print(json.dumps({"time": round(time.time(), 3), **facts}), file=sys.stderr, flush=True)
