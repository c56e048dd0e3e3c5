"""The command line: parses, calls one function, prints, exits. Each command imports what it needs, when it runs.

Exit codes: 0 all is done, 2 wrong arguments, 3 some slides failed (rows say why), 1 a bug, 130 and 143 stopped.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from flows import completion
from flows.cli_bench import bench
from flows.cli_doctor import doctor
from flows.cli_evaluate import app as evaluate
from flows.cli_export import app as export
from flows.cli_run import run
from flows.cli_status import status
from flows.cli_view import view
from flows.cli_watch import watch
from flows.ending import ending, leave, write_any_name
from flows.manner import AnywhereGroup, Manner, set_manner
from flows.told import told_plainly
from pipeline.errors import ConfigError

app = typer.Typer(
    name="histoloom",
    cls=AnywhereGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.command()(view)
app.command()(run)
app.command()(watch)
app.command()(status)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def report(
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", help="Folder or URL that results went to.", autocompletion=completion.folders),
    ],
) -> None:
    """Make previews and pages anew from the stores; of a URL, the cohort's page and table alone."""
    from flows.places import folder_with_results
    from pipeline.cohort import rebuild_reports
    from pipeline.object_url import ObjectUrl, parse_place

    with told_plainly():
        place = parse_place(folder)
        if isinstance(place, ObjectUrl):
            from flows.publishing import publish_cohort

            publish_cohort(place)
            print(place / "report.html")
        else:
            for page in rebuild_reports(folder_with_results(place)):
                print(page)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
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
) -> None:
    """Train a network; called again, go on where it stopped."""
    from flows.training import train_bundle

    with told_plainly():
        card = train_bundle(task, config, out, data, work, write_only=write_only)
    print(json.dumps({"bundle": str(out), "metrics": card.metrics}, indent=2))


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    synthetic: Annotated[
        int | None, typer.Option(min=256, help="Make an N x N px slide with known nuclei too.")
    ] = None,
) -> None:
    """Fetch a real slide (CC0), and make a synthetic one if asked."""
    from pipeline.sample import fetch_sample
    from pipeline.synthetic_sample import write_synthetic_sample

    with told_plainly(1):
        print(fetch_sample(folder))
        if synthetic is not None:
            print(write_synthetic_sample(folder, synthetic))


app.command()(bench)
app.command()(doctor)
app.add_typer(evaluate, name="evaluate")
app.add_typer(export, name="export")


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"histoloom {version('histoloom')}")
        raise typer.Exit


@app.callback()
def _globally(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what failed.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more: a line a stage.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version, and end.")
    ] = False,
) -> None:
    """Take whole-slide images apart into tiles and weave the results back into one OME-Zarr a slide.

    --debug, --quiet and --verbose may also stand after a command's name.
    """
    if quiet and verbose:
        with told_plainly():
            msg = "--quiet and --verbose: more cannot be said than nothing"
            raise ConfigError(msg, "Give one of the two.")
    set_manner(Manner(debug, quiet, verbose))


def main() -> None:
    """The console script."""
    write_any_name()
    leave(ending(app))
