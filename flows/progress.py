"""What a person or a program sees of a run while it goes on, on stderr: a bar a stage, or a JSON line an event."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self


class Progress(Protocol):
    """Hears of everything that happens to slides."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """Something happened to a slide: `started`, `planned` (what it will take), `done`, `unchanged`, `failed`."""
        ...

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """A stage begins, with so many tiles to do."""
        ...

    def advance(self, tiles: int, core_px: int) -> None:
        """Tiles of the stage that began last are done."""
        ...


class Quiet:
    """Says nothing: for Prefect, whose own log tells of stages, and for other programs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """See `Progress`."""

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """See `Progress`."""

    def advance(self, tiles: int, core_px: int) -> None:
        """See `Progress`."""


class JsonLines(Quiet):
    """One JSON object a line and event, for programs that watch."""

    def __init__(self) -> None:
        self._where: dict[str, Any] = {}

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """`{"event": "slide-done", "slide": ...}`."""
        self._say(event=f"slide-{event}", slide=name, **facts)

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """`{"event": "stage", "slide": ..., "stage": ..., "tiles": ...}`."""
        self._where = {"slide": name, "stage": stage, "of": tiles, "done": 0}
        self._say(event="stage", slide=name, stage=stage, tiles=tiles)

    def advance(self, tiles: int, core_px: int) -> None:
        """`{"event": "tiles", "done": ..., "of": ...}`."""
        self._where["done"] += tiles
        self._say(event="tiles", **self._where)

    def _say(self, **facts: Any) -> None:
        print(json.dumps({"time": round(time.time(), 3), **facts}), file=sys.stderr, flush=True)


class Bars(Quiet):
    """A bar for the stage that runs, with tiles and megapixels a second; a line for each slide that is through."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("tiles  {task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: Any = None
        self._megapixels = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """One line when a slide is through; a failure takes two more, the reason and the cure."""
        self._drop()
        if event == "started":
            return
        failed = event == "failed"
        words = "" if failed else "  ".join(f"{key} {value}" for key, value in facts.items())
        colour = {"done": "green", "failed": "red"}.get(event, "cyan")
        self._console.print(f"[{colour}]{event:>9}[/]  ", end="", highlight=False)
        self._say(f"{name}  {words}")
        for line in facts.values() if failed else ():
            self._say(f"{'':>9}  {line}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """A new bar, in place of the last."""
        self._drop()
        if tiles:
            self._task = self._bars.add_task(f"{name}: {stage}", total=tiles, rate="")
            self._megapixels, self._began = 0.0, time.perf_counter()

    def advance(self, tiles: int, core_px: int) -> None:
        """Move the bar."""
        self._megapixels += core_px / 1e6
        seconds = max(time.perf_counter() - self._began, 1e-6)
        if self._task is not None:
            self._bars.update(self._task, advance=tiles, rate=f"{self._megapixels / seconds:.1f} MP/s")

    def _drop(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
