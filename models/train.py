"""Train a bundle: `histoloom train`, or on a machine that has torch and little else,

    python -m models.train --config train.toml --out BUNDLE [--data ROOT]

Checkpoints, log and curves lie beside the bundle (`<BUNDLE>.training`) until somebody deletes them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from models.card import Card
from models.errors import TrainingError
from models.slide_reader import OpenSlide, open_tiff
from models.tasks import build_task
from models.train_bundle import refuse_what_cannot_ship, write_trained
from models.train_config import TrainConfig, read_config
from models.training import Training, Watch

__all__ = ["main", "train"]


def train(
    config: TrainConfig,
    out: Path,
    work: Path | None = None,
    watch: Watch = lambda share, row: None,
    open_slide: OpenSlide = open_tiff,
) -> Card:
    """Train as configured, write the bundle `out`, and return its card.

    Parameters
    ----------
    work
        Folder of checkpoint, log and curves; `<out>.training` by default (`<out>.gan.training` for second weights). A
        checkpoint in it is gone on from.
    watch
        Hears after every step what share is done.
    open_slide
        Opens the slides among the data; the default reads TIFF and its kin.

    Raises
    ------
    TrainingError
        if settings or data cannot be used, a checkpoint is another training's, or the loss is no number.
    """
    work = work or beside(out, config)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError.about(work, f"cannot be made ({error})", "Name another folder.") from error
    task = build_task(config, open_slide)
    refuse_what_cannot_ship(config, task, out)
    Training(config, task, work).run(watch)
    return write_trained(config, out, work, task)


def beside(out: Path, config: TrainConfig) -> Path:
    """Return the folder of checkpoint, log and curves of a training that writes the bundle `out`."""
    return out.with_name(f"{out.name}.{'gan.' if config.weights == 'gan' else ''}training")


def main(arguments: list[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description="Train a bundle.")
    parser.add_argument("--config", type=Path, required=True, help="the training file, TOML")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--data", type=Path, help="folder that the sources' paths start from")
    parser.add_argument("--work", type=Path, help="folder of checkpoint, log and curves")
    parser.add_argument("--write-only", action="store_true", help="write the bundle of the last checkpoint and end")
    given = parser.parse_args(arguments)
    config = read_config(given.config)
    config = config.at(given.data) if given.data else config
    work = given.work or beside(given.out, config)
    card = write_trained(config, given.out, work) if given.write_only else train(config, given.out, work)
    print(json.dumps({"bundle": str(given.out), "metrics": card.metrics}, indent=2))


if __name__ == "__main__":
    main()
