"""`histoloom doctor`: what is installed and what works, with the cure for what does not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from flows import completion
from flows.told import BUG, told_plainly


def doctor(
    out: Annotated[
        str | None,
        typer.Option(help="Folder or URL for results: try to write there, too.", autocompletion=completion.folders),
    ] = None,
    slides: Annotated[
        str | None,
        typer.Option(help="Folder or URL of slides: try to list and read there.", autocompletion=completion.folders),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """What is installed, which readers, devices and bundles work, and the cure for what does not."""
    from flows.doctor import examine, print_findings

    with told_plainly():
        findings = examine(out, slides)
    fine = all(finding.fine for finding in findings)
    if as_json:
        print(json.dumps({"fine": fine, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print_findings(findings)
    raise typer.Exit(0 if fine else BUG)
