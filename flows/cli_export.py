"""`histoloom export`: results in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.told import told_plainly

app = typer.Typer(help="Write results in the formats of other programs.", no_args_is_help=True)


@app.callback()
def export() -> None:
    """Write results in the formats of other programs."""


@app.command()
def spatialdata(
    slide: Annotated[Path, typer.Argument(metavar="DIR/SLIDE", help="Folder of one slide's results.")],
    out: Annotated[Path, typer.Option(help="The SpatialData store to write, NAME.zarr.")],
) -> None:
    """Pictures, labels, outlines and measurements of a slide as one SpatialData store."""
    from pipeline.spatialdata import export_spatialdata

    with told_plainly():
        print(export_spatialdata(slide, out))
