"""How far each slide is, for a person: a table that fits the terminal, once or again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.pace import clock_time
from flows.wording import facts_in_words, tidy_name
from pipeline.record import plain

State = dict[str, Any]
Look = Callable[[], list[State]]
"""How slides are now; `running` among their states."""

_ORDER = {"running": 0, "failed": 1, "unfinished": 2, "done": 3}
_COLOURS = {"running": "cyan", "failed": "bold red", "unfinished": "yellow", "done": "green"}
_NARROW = 72
_LINES_BESIDE_THE_TABLE = 6


@dataclass(slots=True)
class Speeds:
    """Batches a second of every stage, from one look to the next: so they are known of other processes' work too."""

    _first: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def left_s(self, slide: str, stage: dict[str, Any]) -> float | None:
        """Seconds that a stage will yet take; None while nothing has been seen to move."""
        now, done = time.monotonic(), stage["batches_done"]
        began, before = self._first.setdefault((slide, stage["stage"]), (now, done))
        if done <= before:
            return None
        return float((stage["batches"] - done) * (now - began) / (done - before))


class Overview:
    """All slides: counts in a line, then a row each, those that are at work first, as many as there is room for."""

    def __init__(self, states: Sequence[State], speeds: Speeds | None = None, rows: int | None = None) -> None:
        self._states = sorted(states, key=lambda state: (_ORDER.get(state["state"], 9), state["slide"]))
        self._speeds = speeds or Speeds()
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The line, the table, and how many rows are left out."""
        yield Text(count_line(self._states), "bold")
        if not self._states:
            return
        shown = self._states if self._rows is None else self._states[: max(self._rows, 1)]
        narrow = options.max_width < _NARROW
        table = Table(box=None, pad_edge=False, show_header=not narrow)
        for title in ("slide", "state", "what" if narrow else "stage"):
            table.add_column(title, overflow="fold", ratio=1 if narrow and title == "what" else None)
        if not narrow:
            table.add_column("batches", justify="right", no_wrap=True)
            table.add_column("what", overflow="fold")
        for state in shown:
            table.add_row(*self._row(state, narrow))
        yield table
        if len(shown) < len(self._states):
            yield Text(f"and {len(self._states) - len(shown)} more", "dim")

    def _row(self, state: State, narrow: bool) -> list[Text]:
        stage = next((one for one in state["stages"] if one["batches_done"] < (one["batches"] or 0)), None)
        batches, left = "", None
        if stage is not None:
            batches = f"{stage['batches_done']} of {stage['batches']}"
            left = self._speeds.left_s(state["slide"], stage)
        words = state.get("what") or facts_in_words(state.get("counts", {}))
        told = plain(words, 1000) + (f"  about {clock_time(left)} left" if left is not None else "")
        name, kind = Text(tidy_name(state["slide"])), Text(state["state"], _COLOURS.get(state["state"], ""))
        where = plain(stage["stage"]) if stage else ""
        if narrow:
            return [name, kind, Text(" ".join(part for part in (where, batches, told.strip()) if part))]
        cure = state.get("cure")
        what = Text.assemble(told.strip(), *((("\n" + plain(cure, 1000), "yellow"),) if cure else ()))
        return [name, kind, Text(where), Text(batches), what]


def count_line(states: Sequence[State]) -> str:
    """Such as `12 slides: 1 running, 9 done, 2 failed`."""
    if not states:
        return "no slides yet"
    kinds = [state["state"] for state in states]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in _ORDER if kind in kinds)
    return f"{len(states)} {'slide' if len(states) == 1 else 'slides'}: {counts}"


def print_status(states: Sequence[State], console: Console | None = None) -> None:
    """Once, on stdout."""
    (console or Console(highlight=False)).print(Overview(states))


def follow(look: Look, every_s: float, *, redraw: bool) -> None:
    """Look again and again until a person ends it: redrawn in place, or a line for everything that changed."""
    if not redraw:
        _follow_in_lines(look, every_s)
        return
    console, speeds = Console(highlight=False), Speeds()

    def drawn() -> Overview:
        return Overview(look(), speeds, console.height - _LINES_BESIDE_THE_TABLE)

    with Live(drawn(), console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            time.sleep(every_s)
            live.update(drawn(), refresh=True)


def _follow_in_lines(look: Look, every_s: float) -> None:
    told: dict[str, str] = {}
    while True:
        for state in look():
            line = _line(state)
            if told.get(state["slide"]) != line:
                told[state["slide"]] = line
                print(line, flush=True)
        time.sleep(every_s)


def _line(state: State) -> str:
    stage = next((one for one in state["stages"] if one["batches_done"] < (one["batches"] or 0)), None)
    where = f"{stage['stage']} {stage['batches_done']} of {stage['batches']} batches" if stage else ""
    counts = facts_in_words(state.get("counts", {}))
    parts = (f"{state['state']:>10}  {tidy_name(state['slide'])}", where, state.get("what") or counts)
    return "  ".join(plain(part, 1000) if index else part for index, part in enumerate(parts) if part)
