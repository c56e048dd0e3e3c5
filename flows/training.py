"""Training from the command line: reads the file, opens slides with the pipeline, shows how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import TrainingError

if TYPE_CHECKING:
    from models.card import Card
    from models.training import Watch
    from models.training_log import Row

SHOWN = ("psnr_rgb", "gain_db", "dice", "auc", "balanced_accuracy")
"""Figures that the progress bar shows, where a task has them."""


def train_bundle(
    task: str, config_file: Path, out: Path, data: Path | None, work: Path | None, *, write_only: bool
) -> Card:
    """Train, or go on where the training stopped, and write the bundle `out`; return its card.

    Raises
    ------
    TrainingError
        if the file describes another task, its settings or data cannot be used, or the loss is no number.
    BundleError
        if a bundle that it begins with cannot be read, or `out` cannot be written.
    """
    from flows.training_slides import open_training_slide
    from models.tasks import build_task
    from models.train import beside, train
    from models.train_bundle import write_trained
    from models.train_config import read_config

    config = read_config(config_file)
    if config.task != task:
        what = f"{config_file}: a training for {config.task}, where one for {task} is wanted"
        raise TrainingError(what, f"Call `histoloom train {config.task}`, or name another file.")
    config = config.at(data) if data else config
    if write_only:
        return write_trained(config, out, work or beside(out, config), build_task(config, open_training_slide))
    with _bar(config.name) as watch:
        return train(config, out, work, watch, open_training_slide)


@contextmanager
def _bar(name: str) -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    figures = TextColumn("{task.fields[last]}", markup=False)
    name_column = TextColumn("{task.description}", markup=False)
    columns = (name_column, BarColumn(), TaskProgressColumn(), figures, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(name, total=1.0, last="")

        def watch(share: float, row: Row | None) -> None:
            bars.update(bar, completed=min(share, 1.0))
            if row is not None:
                bars.update(bar, last=_line(row))

        yield watch


def _line(row: Row) -> str:
    figures = "  ".join(f"{name} {row[name]:.4g}" for name in ("loss", *SHOWN) if name in row)
    return f"{row['iteration']:.0f}: {figures}"
