"""The command line: parses, calls one function, prints, exits. Each command imports what it needs, when it runs.

Exit codes: 0 all is done, 2 wrong arguments, 3 some slides failed (rows say why), 1 a bug.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows.cli_evaluate import app as evaluate
from flows.cli_view import view
from flows.cli_watch import watch

if TYPE_CHECKING:
    from flows.progress import Progress
    from pipeline.config import CohortConfig

app = typer.Typer(
    name="histoloom",
    help="Takes whole-slide images apart into tiles and weaves the results back into one OME-Zarr a slide.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.add_typer(evaluate, name="evaluate")
app.command()(view)
app.command()(watch)

Out = Annotated[
    str, typer.Option("--out", help="Folder or s3://, gs://, az:// URL for results: a folder a slide, and the report.")
]
Results = Annotated[str, typer.Argument(metavar="DIR", help="Folder or URL that results went to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def run(
    slides: Annotated[
        list[str], typer.Argument(metavar="SLIDE...", help="Slides, plain images, folders, globs; URLs too.")
    ],
    out: Out,
    config: Annotated[Path | None, typer.Option(help="TOML with these options, and per-slide ones.")] = None,
    mpp: Annotated[
        float | None, typer.Option(help="um per level-0 pixel, where files say none or a wrong one.")
    ] = None,
    target_mpp: Annotated[float | None, typer.Option(help="Resolution that nuclei are segmented at. [0.25]")] = None,
    sr: Annotated[str | None, typer.Option(help="Super-resolution: a bundle, auto or none. [auto]")] = None,
    sr_blend: Annotated[
        float | None, typer.Option(help="0: pixels trained for truth; 1: for sharp looks; between: a mixture. [0]")
    ] = None,
    measure_blended: Annotated[
        bool | None, typer.Option("--measure-blended", help="Measure nuclei and patches on such a mixture, too.")
    ] = None,
    nuclei: Annotated[str | None, typer.Option(help="Bundle that segments nuclei, or none. [nuclei-unet]")] = None,
    nuclei_views: Annotated[
        int | None, typer.Option(help="Mirrored views of a tile that nuclei are found in: 1, 2 or 4. [1]")
    ] = None,
    classifier: Annotated[
        list[str] | None, typer.Option(help="Bundle that classifies patches, or none; repeatable. [idc-hybrid]")
    ] = None,
    stride_share: Annotated[
        float | None, typer.Option(help="Stride of classified patches in patch sides: 0.25, 0.5 or 1. [0.5]")
    ] = None,
    tissue: Annotated[str | None, typer.Option(help="What is worked on: auto, all, or a mask image. [auto]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N]. [auto]")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16. [auto]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 1: the threads of this one; 0: one thread. [1]")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="A dask scheduler's address: tcp://HOST:PORT.")] = None,
    reader: Annotated[str | None, typer.Option(help="auto, openslide or tiffslide. [auto]")] = None,
    ngff: Annotated[str | None, typer.Option(help="Version of OME-Zarr: 0.5 or 0.4. [0.5]")] = None,
    core_px: Annotated[int | None, typer.Option(help="Side of the square that a tile owns. [1024]")] = None,
    max_disk: Annotated[str | None, typer.Option(help="Size that DIR may grow to, such as 500GiB.")] = None,
    max_memory: Annotated[str | None, typer.Option(help="Memory that all processes may take, such as 8GiB.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start over instead of going on where the last run stopped.")
    ] = False,
    staging: Annotated[
        Path | None, typer.Option(help="Local folder for what comes from and goes to URLs. [~/.cache/histoloom]")
    ] = None,
    staging_gib: Annotated[float | None, typer.Option(help="GiB of slides that it may hold. [100]")] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="One JSON line an event on stderr, no bars.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Tile, super-resolve, segment, classify and stitch slides."""
    from flows.cohort import PAGES, arrange, process_cohort
    from flows.places import staging_at
    from models.errors import ModelError
    from pipeline.errors import HistoloomError, ResourceLost, Unforeseen
    from pipeline.schedule import Workforce

    given = {
        "mpp": mpp, "target_mpp": target_mpp, "sr": sr, "sr_blend": sr_blend, "measure_blended": measure_blended,
        "nuclei": nuclei, "nuclei_views": nuclei_views, "stride_share": stride_share, "tissue": tissue,
        "device": device, "precision": precision, "reader": reader, "ngff": ngff, "core_px": core_px,
        "classifiers": None if classifier is None else [name for name in classifier if name != "none"],
    }  # fmt: skip
    try:
        settings = _settings(config, {name: value for name, value in given.items() if value is not None})
        settings = settings.within(max_disk, max_memory)
        cohort = arrange(slides, out, settings, staging_at(staging, staging_gib), force=force)
        workforce = Workforce.choose(workers, scheduler, settings.cluster)
        outcomes = process_cohort(cohort, workforce, _progress(log_json))
    except ResourceLost as error:  # a bucket that gives way before the first slide
        _stop(error, 3, debug)
    except (HistoloomError, ModelError) as error:
        _stop(error, 2, debug)
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in outcomes:
        if outcome.run is not None:
            print(cohort.place / outcome.name)
    if debug:
        for outcome in failed:
            _print_traceback(outcome.error)
    if not any(outcome.name == PAGES for outcome in failed):
        print(cohort.place / "report.html")
    faults = any(isinstance(outcome.error, Unforeseen) for outcome in failed)
    raise typer.Exit(1 if faults else 3 if failed else 0)


@app.command()
def status(folder: Results, as_json: Json = False) -> None:
    """What is done, running and failed, per slide and stage."""
    from flows.status import print_status, slide_states
    from pipeline.errors import HistoloomError
    from pipeline.object_url import ObjectUrl, parse_place

    try:
        place = parse_place(folder)
        if isinstance(place, ObjectUrl):
            from flows.publishing import published_states

            states = published_states(place)
        else:
            states = slide_states(place)
    except HistoloomError as error:
        _stop(error, 2, debug=False)
    if as_json:
        print(json.dumps(states, indent=2))
    else:
        print_status(states)


@app.command()
def report(folder: Results) -> None:
    """Make previews and pages anew from the stores; of a URL, the cohort's page and table alone."""
    from pipeline.cohort import rebuild_reports
    from pipeline.errors import HistoloomError
    from pipeline.object_url import ObjectUrl, parse_place

    try:
        place = parse_place(folder)
        if isinstance(place, ObjectUrl):
            from flows.publishing import publish_cohort

            publish_cohort(place)
            print(place / "report.html")
        else:
            for page in rebuild_reports(place):
                print(page)
    except HistoloomError as error:
        _stop(error, 2, debug=False)


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks that come with histoloom, and their cards."""
    from flows.shelf import print_cards
    from models.shelf import list_bundles

    cards = list_bundles()
    if as_json:
        print(json.dumps([json.loads(card.to_json()) for card in cards], indent=2))
    else:
        print_cards(cards)


@app.command()
def train(
    task: Annotated[str, typer.Argument(metavar="superresolution|nuclei|classification")],
    config: Annotated[Path, typer.Option(help="The training file, TOML: data, network, losses, schedule.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    data: Annotated[Path | None, typer.Option(help="Folder that the data's paths start from.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder of checkpoint, log and curves. [OUT.training]")] = None,
    write_only: Annotated[
        bool, typer.Option("--write-only", help="Write the bundle of the last checkpoint, and end.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Train a network; called again, go on where it stopped."""
    from flows.training import train_bundle
    from models.errors import ModelError
    from pipeline.errors import HistoloomError

    try:
        card = train_bundle(task, config, out, data, work, write_only=write_only)
    except (HistoloomError, ModelError) as error:
        _stop(error, 2, debug)
    print(json.dumps({"bundle": str(out), "metrics": card.metrics}, indent=2))


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    synthetic: Annotated[
        int | None, typer.Option(min=256, help="Make an N x N px slide with known nuclei too.")
    ] = None,
) -> None:
    """Fetch a real slide (CC0), and make a synthetic one if asked."""
    from pipeline.errors import HistoloomError
    from pipeline.sample import fetch_sample
    from pipeline.synthetic_sample import write_synthetic_sample

    try:
        print(fetch_sample(folder))
        if synthetic is not None:
            print(write_synthetic_sample(folder, synthetic))
    except HistoloomError as error:
        _stop(error, 1, debug=False)


@app.command()
def doctor() -> None:
    """What is installed, which readers, devices and bundles work, and the cure for what does not."""
    from flows.doctor import examine, print_findings

    findings = examine()
    print_findings(findings)
    raise typer.Exit(0 if all(finding.fine for finding in findings) else 1)


def _settings(config: Path | None, given: dict[str, Any]) -> CohortConfig:
    from pipeline.config import CohortConfig, read_config

    return (read_config(config) if config else CohortConfig()).changed(given)


def _progress(log_json: bool) -> Progress:
    from flows.progress import Bars, JsonLines

    return JsonLines() if log_json else Bars()


def _stop(error: Exception, code: int, debug: bool) -> NoReturn:
    if debug:
        _print_traceback(error)
    print(error, file=sys.stderr)
    raise typer.Exit(code)


def _print_traceback(error: BaseException | None) -> None:
    import traceback

    if error is not None:
        traceback.print_exception(error)


def main() -> None:
    """The console script."""
    app()
