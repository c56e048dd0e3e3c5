"""`histoloom run`: what its options come to, the run, and what is told of it at the end."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

from flows.display import choose_progress
from flows.lines import say
from flows.manner import manner
from flows.options import takes
from flows.run_options import RunOptions
from flows.stopping import Stoppable, Stopped
from flows.told import BUG, SOME_FAILED, how_to_report, show_traceback, told_plainly
from flows.wording import summary, where_to_look
from pipeline.allocator import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.cohort import Cohort, SlideOutcome
    from flows.progress import Paced
    from pipeline.config import CohortConfig
    from pipeline.schedule import Workforce

_GOES_ON = "Nothing that is done is lost; the same command goes on from there"


@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Tile, super-resolve, segment, classify and stitch slides."""
    keep_freed_memory()  # before anything that starts threads
    progress = choose_progress(log_json=options.log_json)
    stoppable = Stoppable(lambda stop: _tell_stop(stop, progress, log_json=options.log_json))
    progress.last_words = lambda error: stoppable.tell(error) if isinstance(error, Stopped) else None
    try:
        with stoppable, told_plainly(lost=SOME_FAILED, as_json=options.log_json):
            cohort, workforce = arranged(options)
            outcomes = _process(cohort, workforce, progress, options.profile)
    except Stopped as stop:
        stoppable.tell(stop)
        raise typer.Exit(stop.exit_code) from None
    code = exit_code(outcomes)
    if options.log_json:
        progress.cohort("ended", **_counts(progress), exit_code=code)
    _tell_end(cohort, outcomes, progress, alone=options.log_json or manner().quiet)
    raise typer.Exit(code)


def arranged(options: RunOptions) -> tuple[Cohort, Workforce]:
    """What the options come to. Raises what is wrong with them before anything is begun."""
    from flows.cohort import arrange
    from flows.places import staging_at
    from pipeline.schedule import Workforce

    settings = _config(options).changed(options.settings()).within(options.max_disk, options.max_memory)
    staging = staging_at(options.staging, options.staging_gib, options.fetch)
    cohort = arrange(options.slides, options.out, settings, staging, force=options.force)
    return cohort, Workforce.choose(options.workers, options.scheduler, settings.cluster)


def exit_code(outcomes: Sequence[SlideOutcome]) -> int:
    """0, or what the worst of the outcomes comes to."""
    from pipeline.errors import Unforeseen

    failed = [outcome.error for outcome in outcomes if outcome.error]
    if any(isinstance(error, Unforeseen) for error in failed):
        return BUG
    return SOME_FAILED if failed else 0


def _config(options: RunOptions) -> CohortConfig:
    from pipeline.config import CohortConfig, read_config

    return read_config(options.config) if options.config else CohortConfig()


def _process(cohort: Cohort, workforce: Workforce, progress: Paced, profile: Path | None) -> list[SlideOutcome]:
    from flows.cohort import process_cohort
    from flows.trace import Traced

    return process_cohort(cohort, workforce, Traced(progress, profile) if profile else progress)


def _counts(progress: Paced) -> dict[str, Any]:
    pace = progress.pace
    ends = {end: pace.count(end) for end in ("done", "unchanged", "failed")}
    return {**ends, "seconds": round(pace.seconds, 1)}


def _tell_stop(stop: Stopped, progress: Paced, *, log_json: bool) -> None:
    if log_json:
        progress.cohort("stopped", **_counts(progress), signal=str(stop), exit_code=stop.exit_code)
        return
    by = "Ctrl-C" if stop.exit_code == 130 else str(stop)
    through, slides = len(progress.pace.ends), progress.pace.slides
    say(f"stopped by {by}" + (f": {through} of {slides} slides are through" if slides else ""))
    say(f"{_GOES_ON}:")
    say(f"  {shlex.join(['histoloom', *sys.argv[1:]])}", whole=True)


def _tell_end(cohort: Cohort, outcomes: Sequence[SlideOutcome], progress: Paced, *, alone: bool) -> None:
    """Results on stdout, for programs; what a person wants to know on stderr, unless failures are to stand alone."""
    from flows.cohort import PAGES
    from pipeline.errors import Unforeseen

    faults = [outcome.error for outcome in outcomes if isinstance(outcome.error, Unforeseen)]
    for outcome in outcomes:
        show_traceback(outcome.error)
    written = not any(outcome.name == PAGES for outcome in outcomes if outcome.error)
    page = str(cohort.place / "report.html") if written else None
    if alone or not (sys.stdout.isatty() and sys.stderr.isatty()):  # else the summary says it
        for outcome in outcomes:
            if outcome.run is not None:
                print(cohort.place / outcome.name)
        if page:
            print(page)
    if not alone:
        for line in summary(progress.pace, str(cohort.place)):
            say(line)
        for line in where_to_look(progress.pace, str(cohort.place), page):
            say(line, whole=True)
    if faults:
        say(how_to_report(faults[0]))
