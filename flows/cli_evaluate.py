"""`histoloom evaluate`: what a bundle is worth on images of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import completion
from flows.told import told_plainly

app = typer.Typer(help="Measure bundles on images of your own.", no_args_is_help=True)

Bundle = Annotated[
    str,
    typer.Option(help="A bundle that `histoloom models` lists, or its folder.", autocompletion=completion.bundles),
]
Images = Annotated[Path, typer.Option(help="Folder of images.")]
Out = Annotated[Path | None, typer.Option(help="File for the figures, image by image, as JSON.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")]
Patient = Annotated[str, typer.Option(help="Expression whose first group is the patient in a file's name.")]


@app.command()
def superresolution(
    bundle: Annotated[str, typer.Option(help="A bundle's name or folder; bicubic for the baseline alone.")],
    images: Annotated[Path, typer.Option(help="Folder of images at the output's resolution.")],
    scale: Annotated[int, typer.Option(help="Output side over input side: 2, 4, 8, 16.")],
    out: Out = None,
    degradation: Annotated[
        str, typer.Option(help="How the input is made: bicubic_aa, bilinear_aa, box_jpeg, blur_noise_jpeg.")
    ] = "bicubic_aa",
    sr_blend: Annotated[float, typer.Option(help="Share of the weights trained against an adversary, 0 to 1.")] = 0.0,
    patient: Patient = "(.+)",
    encoder: Annotated[
        str | None, typer.Option(help="Measure the perceptual distance by this bundle, or file of VGG19's weights.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Reduce images, enlarge them again, compare."""
    from flows.evaluation import evaluate_superresolution

    _report(
        lambda on_image: evaluate_superresolution(
            bundle, images, scale, degradation=degradation, blend=sr_blend, patient=patient, encoder=encoder,
            device=device, on_image=on_image,
        ),
        out,
    )  # fmt: skip


@app.command()
def nuclei(
    bundle: Bundle,
    images: Images,
    labels: Annotated[Path, typer.Option(help="Folder of 16-bit instance PNG with the images' stems.")],
    out: Out = None,
    patient: Patient = "(.+)",
    organs: Annotated[Path | None, typer.Option(help="CSV with columns image, organ: figures by organ, too.")] = None,
    degrade: Annotated[
        int | None, typer.Option(help="2 or 4: reduce the images, enlarge them again, then segment.")
    ] = None,
    sr: Annotated[str | None, typer.Option(help="What enlarges them: a bundle, or bicubic (the default).")] = None,
    views: Annotated[int, typer.Option(help="Mirrored views that nuclei are found in: 1, 2 or 4.")] = 1,
    device: Device = "auto",
) -> None:
    """Segment images, compare instance by instance with labels."""
    from flows.evaluation_nuclei import evaluate_nuclei

    _report(
        lambda on_image: evaluate_nuclei(
            bundle, images, labels, patient=patient, organs=organs, degrade=degrade, sr=sr, views=views,
            device=device, on_image=on_image,
        ),
        out,
    )  # fmt: skip


@app.command()
def classification(
    images: Images,
    index: Annotated[Path, typer.Option(help="CSV with columns file (or sheet, row, column), patient, label.")],
    bundle: Annotated[str | None, typer.Option(help="The classifier.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Parquet with file and p_<class>: answers computed elsewhere.")
    ] = None,
    out: Out = None,
    by_patch: Annotated[Path | None, typer.Option(help="File for the answers, patch by patch, as CSV.")] = None,
    by_patient: Annotated[Path | None, typer.Option(help="File for the answers, patient by patient, as CSV.")] = None,
    device: Device = "auto",
) -> None:
    """Classify patches, or take answers from elsewhere, and compare with labels."""
    from flows.evaluation_classification import evaluate_classification, write_table

    def evaluate(on_image: Callable[[int, int], None]) -> dict[str, Any]:
        for file in (by_patch, by_patient):
            _refuse_no_folder(file)
        found = evaluate_classification(
            images, index, bundle=bundle, predictions=predictions, device=device, on_image=on_image
        )
        for file, rows in ((by_patch, found["images"]), (by_patient, found["patients"])):
            if file is not None:
                write_table(file, rows, found["classes"])
        return found

    _report(evaluate, out)


def _report(evaluate: Callable[[Callable[[int, int], None]], dict[str, Any]], out: Path | None) -> None:
    """Evaluate, print the table, write the file."""
    from flows.evaluation_record import print_metrics
    from models.errors import EvaluationError

    with told_plainly():
        try:
            _refuse_no_folder(out)
            with _bar() as on_image:
                metrics = evaluate(on_image)
            print_metrics(metrics)
            if out is not None:
                out.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise EvaluationError.about(str(out), f"cannot be written ({error})", "Name another file.") from error


def _refuse_no_folder(out: Path | None) -> None:
    """Raise before the work if there is nowhere to write its figures to."""
    from models.errors import EvaluationError

    if out is not None and not out.absolute().parent.is_dir():
        raise EvaluationError.about(out.absolute().parent, "no such folder", "Make it, or name another file.")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how many images are done; elsewhere than on a terminal it would be an empty line."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("images", total=None)
        yield lambda done, count: bars.update(bar, completed=done, total=count)
