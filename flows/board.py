"""Progress on a terminal: what is at work, how fast, what it waits for; redrawn in place, gone when the run ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.lines import broken, slide_lines, stage_line
from flows.pace import CohortPace, StagePace, clock_time
from flows.progress import Paced
from flows.wording import cohort_line, speed, tidy_name, time_left, waits

if TYPE_CHECKING:
    from pipeline.batch import BatchDone

NARROW = 72
"""Columns below which what would stand side by side stands in lines of its own."""
_MOST_SLIDES = 4
_COLOURS = {"done": "green", "failed": "bold red", "unchanged": "cyan"}


class Board(Paced):
    """A live board below the lines of slides that are through."""

    def __init__(self, console: Console | None = None, *, verbose: bool = False) -> None:
        super().__init__()
        self._verbose = verbose
        self._console = console or Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._live = Live(
            console=self._console, get_renderable=self._drawn, transient=True, refresh_per_second=5,
            vertical_overflow="crop",
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        super().__exit__(kind, error, trace)

    def slide(self, name: str, event: str, **facts: Any) -> None:
        """One line when a slide is through; a failure takes two more, the reason and the cure."""
        with self._lock:
            super().slide(name, event, **facts)
        if event == "started":
            return
        told = slide_lines(name, event, facts, self.pace)
        first, *more = [part for line in told for part in broken(line, self._console.width)]
        line = Text(first)
        line.stylize(_COLOURS.get(event, "dim"), 0, 9)
        self._say(line, *map(Text, more))

    def stage(self, name: str, stage: str, tiles: int) -> None:
        """The stage takes the place of the slide's last one."""
        with self._lock:
            super().stage(name, stage, tiles)

    def advance(self, name: str, stage: str, done: BatchDone) -> None:
        """Move the bar."""
        with self._lock:
            super().advance(name, stage, done)

    def stage_done(self, name: str, stage: str) -> None:
        """A line with speed and waits, where everything is asked for."""
        at_work = self.pace.at_work.get(name)
        if self._verbose and at_work is not None and at_work.done:
            self._say(Text(stage_line(at_work), "dim"))

    def _say(self, *lines: Text) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)

    def _drawn(self) -> Group:
        with self._lock:
            at_work = dict(list(self.pace.at_work.items())[:_MOST_SLIDES])
            return Group(Cohort(self.pace), *(AtWork(name, pace) for name, pace in at_work.items()), *self._rest())

    def _rest(self) -> Iterator[Text]:
        more = len(self.pace.at_work) - _MOST_SLIDES
        if more > 0:
            yield Text(f"and {more} more at work", "dim")


class Cohort:
    """The line of the whole run: which slide of how many, how long, how much longer."""

    def __init__(self, pace: CohortPace) -> None:
        self._pace = pace

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One line; without a bar where it is narrow, or there is but one slide."""
        pace = self._pace
        left = "" if pace.left_s is None else f", about {clock_time(pace.left_s)} left"
        time = f"{clock_time(pace.seconds)}{left}"
        words = Text(cohort_line(pace), "bold")
        if options.max_width < NARROW or pace.slides <= 1:
            together = Text.assemble(words, "  ", time)
            apart = together.cell_len > options.max_width
            yield from (_fitting(line, options) for line in ((words, Text(time)) if apart else (together,)))
            return
        yield _side_by_side(words, Bar(pace.slides, len(pace.ends)), Text(time))


class AtWork:
    """A slide and the stage that it is in."""

    def __init__(self, name: str, pace: StagePace | None) -> None:
        self._name, self._pace = tidy_name(name), pace

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Three lines; four where it is narrow."""
        pace, wide = self._pace, options.max_width >= NARROW
        stage = pace.stage if pace else "looking at it"
        name = Text(self._name)
        name.truncate(max(options.max_width - len(stage) - 2, 8), overflow=_overflow(options))
        yield _fitting(Text.assemble(name, ": ", (stage, "cyan")), options)
        if pace is None or not pace.tiles:
            return
        bar = Bar(pace.tiles, pace.done)
        count = Text(f"{pace.done} of {pace.tiles} tiles")
        told = (speed(pace), time_left(pace))
        if wide:
            yield _side_by_side(bar, Text("  ".join(part for part in (count.plain, *told) if part)))
        else:
            yield _side_by_side(bar, count)
            yield _fitting(Text("  ".join(part for part in told if part)), options)
        yield _fitting(Text(waits(pace, 3 if wide else 2), "dim"), options)


class Bar:
    """What is done, thick, and what is left, thin: told apart without colours, too."""

    def __init__(self, whole: int, done: int) -> None:
        self._share = min(done / max(whole, 1), 1.0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As wide as there is room."""
        done, left = (
            ("#", "-")
            if options.ascii_only
            else ("\N{BOX DRAWINGS HEAVY HORIZONTAL}", "\N{BOX DRAWINGS LIGHT HORIZONTAL}")
        )
        cells = int(options.max_width * self._share)
        yield Text.assemble((done * cells, "cyan"), (left * (options.max_width - cells), "dim"), no_wrap=True)


def _side_by_side(*parts: Text | Bar) -> Table:
    """A line: the bar takes what the words leave."""
    line = Table.grid(padding=(0, 1), expand=True)
    for part in parts:
        bar = isinstance(part, Bar)
        line.add_column(ratio=1 if bar else None, no_wrap=True, overflow="crop")
    line.add_row(*parts)
    return line


def _overflow(options: ConsoleOptions) -> OverflowMethod:
    """Three dots in one character are not in every alphabet."""
    return "crop" if options.ascii_only else "ellipsis"


def _fitting(words: Text, options: ConsoleOptions) -> Text:
    words.truncate(options.max_width, overflow=_overflow(options))
    words.no_wrap = True
    return words
