"""What stands on the command line of `histoloom run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import completion


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
    engine: Annotated[
        str | None, typer.Option(help="What classifies: torch, openvino, or auto, the faster. Default: auto.")
    ] = None
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
    profile: Annotated[
        Path | None, typer.Option(help="File for a trace of what ran when, for chrome://tracing or ui.perfetto.dev.")
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
