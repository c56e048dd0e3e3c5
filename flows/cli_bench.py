"""`histoloom bench`: this machine's figures, with their spread."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows import completion
from flows.manner import manner
from flows.told import SOME_FAILED, show_traceback, told_plainly
from pipeline.allocator import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flows.bench.measurement import Measurement

_REPEAT, _REPEAT_QUICKLY = 3, 2


def bench(
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write figures as JSON, too; - for stdout instead.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="OLD", help="Show figures beside those of an earlier --json or --history.")
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="WORDS", help="Measure rows whose names have all words; commas part alternatives.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Little work and few repetitions: a look, no record.")] = False,
    slide: Annotated[
        Path | None,
        typer.Option(help="Slide that is read and run. Default: synthetic ones.", autocompletion=completion.slides),
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(min=1, help="Times that each figure is taken. Default: 3; 2 with --quick.")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="What a whole run computes in; networks alone do in each.")
    ] = "auto",
    history: Annotated[Path | None, typer.Option(metavar="FILE", help="Append date, machine, figures: a line.")] = None,
) -> None:
    """Measure this machine: reading, the store, networks, nuclei, and how much of a run is its networks' own time."""
    keep_freed_memory()  # before anything that starts threads

    from flows.bench.course import Wanted, chosen, measure
    from flows.bench.record import append_document, document, read_document, write_document
    from flows.bench.subject import subject

    times = repeat or (_REPEAT_QUICKLY if quick else _REPEAT)
    to_stdout = str(as_json) == "-"
    with told_plainly():
        before = read_document(compare) if compare else None
        _refuse_unwritable(None if to_stdout else as_json, history)
        wanted = Wanted(only)
        with subject(slide, times, quick=quick, precision=precision) as what, _telling() as tell:
            rows, failed = measure(chosen(what, wanted), wanted, tell)
        content = document(what, rows, quick=quick)
        if to_stdout:
            print(json.dumps(content, indent=2))
        else:
            _print(rows, content, before)
        if as_json is not None and not to_stdout:
            write_document(content, as_json)
        if history is not None:
            append_document(content, history)
    for one in failed:
        show_traceback(one.error)
        typer.echo(f"{one.title}: {one.error}", err=True)
    raise typer.Exit(SOME_FAILED if failed else 0)


def _refuse_unwritable(as_json: Path | None, history: Path | None) -> None:
    from flows.bench.record import refuse_unwritable

    for path, option in ((as_json, "--json"), (history, "--history")):
        if path is not None:
            refuse_unwritable(path, option)


def _print(rows: list[Measurement], content: dict[str, Any], before: dict[str, Any] | None) -> None:
    from flows.bench.comparison import beside, unlike
    from flows.bench.record import rows_of
    from flows.bench.table import print_comparison, print_rows

    if before is None:
        print_rows(rows)
    else:
        print_comparison(beside(rows, rows_of(before)), unlike(content, before))


def _telling() -> AbstractContextManager[Callable[[str], None]]:
    """Says on a terminal's stderr what is being measured, and takes it away again; nothing elsewhere."""
    from flows.display import is_terminal

    if manner().quiet or not is_terminal(sys.stderr):
        return nullcontext(lambda title: None)
    from flows.bench.telling import telling

    return telling()
