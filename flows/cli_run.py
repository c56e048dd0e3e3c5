"""`histoloom run`: the options, what they come to, the run, and what is told of it at the end."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import completion
from flows.display import choose_progress
from flows.lines import say
from flows.manner import manner
from flows.options import takes
from flows.stopping import Stoppable, Stopped
from flows.told import BUG, SOME_FAILED, how_to_report, show_traceback, told_plainly
from flows.wording import summary, where_to_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.cohort import Cohort, SlideOutcome
    from flows.progress import Paced
    from pipeline.config import CohortConfig
    from pipeline.schedule import Workforce

_GOES_ON = "Nothing that is done is lost; the same command goes on from there"


@dataclass(frozen=True)
class RunOptions:
    """What stands on the command line. A field that is called as a setting of a slide becomes that setting."""

    slides: Annotated[
        list[str],
        typer.Argument(
            metavar="SLIDE...", help="Slides, plain images, folders, globs; URLs too.",
            autocompletion=completion.slides,
        ),
    ]  # fmt: skip
    out: Annotated[
        str,
        typer.Option(
            help="Folder or s3://, gs://, az:// URL for results: a folder a slide, and the report.",
            autocompletion=completion.folders,
        ),
    ]
    config: Annotated[Path | None, typer.Option(help="TOML with these options, and per-slide ones.")] = None
    mpp: Annotated[float | None, typer.Option(help="um per level-0 pixel, where files say none or a wrong one.")] = None
    target_mpp: Annotated[
        float | None, typer.Option(help="Resolution that nuclei are segmented at. Default: 0.25.")
    ] = None
    sr: Annotated[
        str | None,
        typer.Option(
            help="Super-resolution: a bundle, auto or none. Default: auto.", autocompletion=completion.super_resolvers
        ),
    ] = None
    sr_blend: Annotated[
        float | None,
        typer.Option(help="0: pixels trained for truth; 1: for sharp looks; between: a mixture. Default: 0."),
    ] = None
    measure_blended: Annotated[
        bool | None, typer.Option("--measure-blended", help="Measure nuclei and patches on such a mixture, too.")
    ] = None
    nuclei: Annotated[
        str | None,
        typer.Option(
            help="Bundle that segments nuclei, or none. Default: nuclei-unet.", autocompletion=completion.networks
        ),
    ] = None
    nuclei_views: Annotated[
        int | None, typer.Option(help="Mirrored views of a tile that nuclei are found in: 1, 2 or 4. Default: 1.")
    ] = None
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="Bundle that classifies patches, or none; repeatable. Default: idc-hybrid.",
            autocompletion=completion.networks,
        ),
    ] = None
    stride_share: Annotated[
        float | None, typer.Option(help="Stride of classified patches in patch sides: 0.25, 0.5 or 1. Default: 0.5.")
    ] = None
    tissue: Annotated[
        str | None, typer.Option(help="What is worked on: auto, all, or a mask image. Default: auto.")
    ] = None
    qc: Annotated[
        str | None,
        typer.Option(help="Blur, folds, pen, dirt: flag reports them, mask leaves them out, or off. Default: flag."),
    ] = None
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N]. Default: auto.")] = None
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16. Default: auto.")] = None
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 1: the threads of this one; 0: one thread. Default: 1.")
    ] = None
    scheduler: Annotated[str | None, typer.Option(help="A dask scheduler's address: tcp://HOST:PORT.")] = None
    reader: Annotated[str | None, typer.Option(help="auto, openslide or tiffslide. Default: auto.")] = None
    ngff: Annotated[str | None, typer.Option(help="Version of OME-Zarr: 0.5 or 0.4. Default: 0.5.")] = None
    core_px: Annotated[int | None, typer.Option(help="Side of the square that a tile owns. Default: 1024.")] = None
    max_disk: Annotated[str | None, typer.Option(help="Size that DIR may grow to, such as 500GiB.")] = None
    max_memory: Annotated[str | None, typer.Option(help="Memory that all processes may take, such as 8GiB.")] = None
    force: Annotated[
        bool, typer.Option("--force", help="Start over instead of going on where the last run stopped.")
    ] = False
    staging: Annotated[
        Path | None,
        typer.Option(help="Local folder for what comes from and goes to URLs. Default: ~/.cache/histoloom."),
    ] = None
    staging_gib: Annotated[float | None, typer.Option(help="GiB of slides that it may hold. Default: 100.")] = None
    fetch: Annotated[
        str | None, typer.Option(help="Slides from URLs: whole, or of TIFFs the parts that are read. Default: whole.")
    ] = None
    log_json: Annotated[bool, typer.Option("--log-json", help="One JSON line an event on stderr, no bars.")] = False

    def settings(self) -> dict[str, Any]:
        """What is asked of every slide: the fields that are given and called as settings are."""
        from pipeline.config import SlideConfig

        known = SlideConfig.__dataclass_fields__
        given = {name: value for name, value in vars(self).items() if name in known and value is not None}
        if self.classifier is not None:
            given["classifiers"] = [name for name in self.classifier if name != "none"]
        return given


@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Tile, super-resolve, segment, classify and stitch slides."""
    progress = choose_progress(log_json=options.log_json)
    stoppable = Stoppable(lambda stop: _tell_stop(stop, progress, log_json=options.log_json))
    progress.last_words = lambda error: stoppable.tell(error) if isinstance(error, Stopped) else None
    try:
        with stoppable, told_plainly(lost=SOME_FAILED, as_json=options.log_json):
            cohort, workforce = arranged(options)
            outcomes = _process(cohort, workforce, progress)
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


def _process(cohort: Cohort, workforce: Workforce, progress: Paced) -> list[SlideOutcome]:
    from flows.cohort import process_cohort

    return process_cohort(cohort, workforce, progress)


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
