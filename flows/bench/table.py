"""Figures for people: a table a group, which fits into 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from flows.bench.comparison import Beside
from flows.bench.measurement import Measurement
from flows.bench.networks import SHARE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LEAST_WIDTH = 72
"""Of a terminal that has room for figures beside the median."""

_BROKEN = {"megapixels/s": "mega-\npixels/s", SHARE: SHARE.replace(" of ", " of\n")}
# Figures beside the median that have a column; the others are for programs.
_BESIDE: dict[str, Callable[[float], str]] = {"megapixels/s": lambda value: figure(value), SHARE: "{:.0%}".format}


def print_rows(rows: Sequence[Measurement]) -> None:
    """Print medians and spreads on stdout, notes below each group."""
    console = _console()
    for group, members in _groups(rows, lambda row: row.group):
        columns = [name for name in _BESIDE if any(name in row.figures for row in members)]
        columns = columns if console.width >= _LEAST_WIDTH else []
        engines = any(row.engine for row in members)
        table = _table(group, [*(["engine"] if engines else []), "median", "spread", "", *columns], left=("engine", ""))
        for row in members:
            more = [_BESIDE[name](row.figures[name]) if name in row.figures else "" for name in columns]
            engine = [row.engine] if engines else []
            table.add_row(row.name, *engine, figure(row.median), _spread(row), row.unit, *more)
        console.print(table)
        _print_notes(console, members)


def print_comparison(rows: Sequence[Beside], unlike: Iterable[str]) -> None:
    """Print what was, what is, their ratio and what to make of it."""
    from rich.text import Text

    colours = {"better": "green", "worse": "bold red"}
    console = _console()
    for group, members in _groups(rows, lambda row: row.now.group):
        wide = console.width >= _LEAST_WIDTH
        engines = wide and any(row.now.engine for row in members)
        headings = [*(["engine"] if engines else []), *(["before"] if wide else []), "now", "", "new/old", "mark"]
        table = _table(group, headings, left=("engine", "", "mark"))
        for row in members:
            before = figure(row.before.median) if row.before else "-"
            table.add_row(
                row.now.name,
                *([row.now.engine] if engines else []),
                *([before] if wide else []),
                figure(row.now.median),
                row.now.unit,
                f"{row.ratio:.2f}" if row.ratio is not None else "-",
                Text(row.verdict, colours.get(row.verdict, "")),
            )
        console.print(table)
        console.print()
    for line in unlike:
        console.print(f"Not alike: {line}.", style="yellow")


def figure(value: float) -> str:
    """Three digits that count, as a person writes them."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _spread(row: Measurement) -> str:
    """In percent of the median."""
    if row.spread is None or not row.median:
        return "-"
    return f"± {row.spread / row.median:.0%}"


def _groups(rows: Sequence[Any], group_of: Callable[[Any], str]) -> Iterable[tuple[str, list[Any]]]:
    """Neighbours of one group."""
    return ((group, list(members)) for group, members in groupby(rows, group_of))


def _table(group: str, headings: Sequence[str], left: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(group, overflow="fold", header_style="bold")  # alone gives way where the terminal is narrow
    for heading in headings:
        table.add_column(_BROKEN.get(heading, heading), justify="left" if heading in left else "right", no_wrap=True)
    return table


def _print_notes(console: Console, rows: Sequence[Measurement]) -> None:
    from rich.padding import Padding

    for note in dict.fromkeys(row.note for row in rows if row.note):
        console.print(Padding(note, (0, 0, 0, 2)), style="dim")
    console.print()


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False)
