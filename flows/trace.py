"""What a run did when, and where, as a file that chrome://tracing and ui.perfetto.dev open.

Each batch is a bar in the row of the thread that did it, with what it read, computed and wrote beneath; slides and
stages are bars of the driving process. The format: Trace Event Format, JSON array, complete events. A run that is
stopped leaves a file that can be opened, since the closing bracket may be missing.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from flows.progress import Progress
    from pipeline.batch import BatchDone


class Traced:
    """Hears what another hears, tells it on, and writes it down."""

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress = progress
        self._begun_s = time.time()
        self._starts: dict[tuple[str, ...], float] = {}
        self._file = _opened(path)
        self._file.write("[")
        self._empty = True

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.write("\n]\n")
        self._file.close()
        self._progress.__exit__(kind, error, trace)

    def cohort(self, event: str, **facts: Any) -> None:
        """See `Progress`."""
        self._progress.cohort(event, **facts)

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """See `Progress`; from its start to its end a bar."""
        if event == "started":
            self._starts[(name,)] = time.time()
        elif event in ("done", "failed") and (name,) in self._starts:
            self._bar(name, "slide", self._starts.pop((name,)), time.time(), 0, end=event)
        self._progress.slide(name, event, **facts)

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """See `Progress`."""
        self._starts[name, stage] = time.time()
        self._progress.stage(name, stage, tiles)

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """See `Progress`; a bar in its thread's row, and one for each thing that it was spent on."""
        where = done.where
        if where is not None:
            row = (where.thread, where.process)
            facts: dict[str, Any] = {
                "slide": name,
                "batch": done.number,
                "tiles": done.tiles,
                "megapixels": done.core_px / 1e6,
            }
            self._bar(stage, "batch", where.start_s, where.start_s + done.seconds, *row, **facts)
            for span in where.spans:
                self._bar(span.what, stage, span.start_s, span.start_s + span.seconds, *row)
        self._progress.advance(name, stage, done)

    def stage_done(self, name: str, stage: str) -> None:
        """See `Progress`; a bar below its slide's."""
        start_s = self._starts.pop((name, stage), None)
        if start_s is not None:
            self._bar(stage, "stage", start_s, time.time(), 0, slide=name)
        self._progress.stage_done(name, stage)

    def _bar(
        self, name: str, category: str, start_s: float, end_s: float, thread: int, process: int = 0, **facts: Any
    ) -> None:
        event = {
            "name": name, "cat": category, "ph": "X", "ts": round(1e6 * (start_s - self._begun_s)),
            "dur": round(1e6 * (end_s - start_s)), "pid": process or os.getpid(), "tid": thread, "args": facts,
        }  # fmt: skip
        self._file.write(("\n" if self._empty else ",\n") + json.dumps(event))
        self._empty = False


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        msg = f"--profile {path}: cannot be written ({error.strerror})"
        raise ConfigError(msg, "Name a file in a folder that is there.") from error
