"""`histoloom watch`: slides that arrive in a folder are worked on, each once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.display import choose_progress
from flows.told import SOME_FAILED, told_plainly
from pipeline.allocator import keep_freed_memory

if TYPE_CHECKING:
    from flows.inbox import Look
    from pipeline.errors import HistoloomError


def watch(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder or URL (s3, gs, az) that slides arrive in.")],
    out: Annotated[str, typer.Option("--out", help="Folder for results, as of histoloom run.")],
    config: Annotated[Path | None, typer.Option(help="TOML with the settings of histoloom run.")] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds from one look to the next.")] = 60.0,
    settle: Annotated[float, typer.Option(min=0, help="Seconds without a change that make a slide whole.")] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, work on what is whole, end: for cron.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="First let slides that failed have another try.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=0, help="As of histoloom run.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="As of histoloom run.")] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="One JSON line an event on stderr, no bars.")] = False,
) -> None:
    """Work on slides as they arrive in a folder: each once, none before it is copied whole."""
    keep_freed_memory()  # before anything that starts threads

    from flows.cohort import Cohort, prepare
    from flows.inbox import Policy
    from flows.inbox_book import Book
    from flows.places import local_folder
    from flows.watching import InProcess, inbox_at, look_and_report
    from flows.watching import watch as keep_watching
    from pipeline.config import CohortConfig, read_config
    from pipeline.schedule import Workers, Workforce

    with _stopped_in_order(), told_plainly(as_json=log_json):
        cohort = Cohort((), local_folder(out), read_config(config) if config else CohortConfig())
        workforce = Workforce.choose(workers, scheduler, cohort.config.cluster)
        prepare(cohort, workforce)
        inbox, book = inbox_at(folder, cohort.out), Book(cohort.out)
        policy = Policy(settle)
        for name in book.retry_failed() if retry_failed else ():
            print(f"another try: {name}")
        with Workers(workforce) as crew, choose_progress(log_json=log_json) as progress:
            hands = InProcess(cohort, crew, progress)
            failed = False
            while once:
                found = look_and_report(inbox, book, hands, policy)
                _tell(found)
                failed |= bool(found.failed)
                if not found.handed:
                    raise typer.Exit(SOME_FAILED if failed else 0)
            keep_watching(inbox, book, hands, policy, every, _tell, _warn)


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """A service that is told to end ends like one that a person stops: the slide at work costs no try."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; what is done stays done, the next watch goes on from here", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)


def _warn(passing: HistoloomError) -> None:
    print(f"{passing}\nLooking again later.", file=sys.stderr, flush=True)


def _tell(found: Look) -> None:
    """What changed, a line each; nothing where nothing did."""
    for source, name in found.recognised.items():
        print(f"{source}: known as {name}", flush=True)
    for source, reason in found.unreadable.items():
        print(f"{source}: {reason}", file=sys.stderr, flush=True)
    for name in found.done:
        print(f"{name}: done", flush=True)
    for name, reason in found.failed.items():
        print(f"{name}: failed: {reason}", flush=True)
    for name, reason in found.lost.items():
        print(f"{name}: lost, will be tried again: {reason}", flush=True)
