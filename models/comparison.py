"""Compare networks: train each the same way on the same images, and write what they are worth as a table.

    python -m models.comparison --config models/comparisons/super_resolution.toml --data ROOT --work DIR --page PAGE.md

Every cell is a training of its own (method, data, scale, seed): first down the pixel losses that all share, then, where
the method has an adversary, against it, into the same bundle as second weights. A cell whose bundle is there is not
trained again, so a comparison that is stopped goes on where it was. All figures of the page come from the bundles'
cards, and the table can be written at any time from those that are done.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.card import Card
from models.errors import TrainingError
from models.shelf import CARD_FILE, read_card
from models.train import train
from models.train_config import CURE, ScheduleConfig, SourceConfig, TrainConfig, from_table
from models.train_settings import fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A row: a network, and how it is trained beyond what all share."""

    name: str
    architecture: str
    network: Mapping[str, Any] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    """`options.losses` of the second phase."""
    adversary: Mapping[str, Any] = field(default_factory=dict)
    """`options.adversary` of the second phase; without it there is none."""
    published: Mapping[str, str] = field(default_factory=dict)
    """The authors' own figures, by data set and scale (`"H&E x4"`), as they print them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A block of the table: images, patients held out, and the scales that they reach."""

    name: str
    mpp: float
    """um per px of the large images."""
    scales: tuple[int, ...]
    sources: tuple[SourceConfig, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared, on what, and for how long."""

    title: str
    section: str
    """Name of the part of the page that is written anew."""
    methods: tuple[Method, ...]
    sets: tuple[DataSet, ...]
    seeds: tuple[int, ...]
    crop_px: Mapping[str, int]
    """Side of the large crops, by scale."""
    schedule: ScheduleConfig
    """Of the first phase."""
    adversarial_schedule: ScheduleConfig
    """Of the second."""
    adversarial_up_to: int = 16
    """Largest scale that has a second phase: beyond it, one may cost more than all others together."""
    encoder: str = "idc-hybrid"
    """What perceptual losses compare features of."""
    judge: str = "nuclei-unet"
    """What the perceptual distance of the table is measured by."""
    test_px: int = 0
    """Side of the middle of each test image that is measured; 0 measures whole images."""
    text: str = ""
    """What stands above the table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of the table."""

    method: Method
    data: DataSet
    scale: int
    seed: int

    @property
    def folder(self) -> str:
        """Name of its bundle's folder."""
        words = f"{self.data.name} x{self.scale} {self.method.name} s{self.seed}".lower()
        return "-".join("".join(sign if sign.isalnum() else " " for sign in words).split())


def read_comparison(path: Path) -> Comparison:
    """Read a comparison's file.

    Raises
    ------
    TrainingError
        if the file is no TOML, a key is unknown or missing, or a value is impossible.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError.about(path, f"cannot be read ({error})", CURE) from error
    nested = {
        "methods": tuple(from_table(Method, one, path) for one in table.pop("methods", [])),
        "sets": tuple(_read_set(one, path) for one in table.pop("sets", [])),
        "schedule": from_table(ScheduleConfig, table.pop("schedule", {}), path),
        "adversarial_schedule": from_table(ScheduleConfig, table.pop("adversarial_schedule", {}), path),
    }
    return from_table(Comparison, table | nested, path)


def _read_set(table: dict[str, Any], path: Path) -> DataSet:
    sources = tuple(from_table(SourceConfig, one, path) for one in table.pop("sources", []))
    return from_table(DataSet, table | {"sources": sources}, path)


def cells(comparison: Comparison) -> Iterator[Cell]:
    """Yield the trainings in the order of their use: every method at one scale and seed before the next."""
    for seed in comparison.seeds:
        for data in comparison.sets:
            for scale in data.scales:
                for method in comparison.methods:
                    yield Cell(method, data, scale, seed)


def first_phase(comparison: Comparison, cell: Cell) -> TrainConfig:
    """Return the training down the pixel loss."""
    return TrainConfig(
        name=cell.folder,
        task="superresolution",
        architecture=cell.method.architecture,
        mpp=cell.data.mpp * cell.scale,
        licence="; ".join(dict.fromkeys(one.licence for one in cell.data.sources)),
        limits="Made to be compared, not to be used.",
        network={**cell.method.network, "scale": cell.scale},
        options={
            "crop_px": comparison.crop_px[str(cell.scale)],
            "encoder": comparison.encoder,
            "judge": comparison.judge,
            "test_px": comparison.test_px,
        },
        sources=cell.data.sources,
        schedule=comparison.schedule,
        seed=cell.seed,
    )


def second_phase(comparison: Comparison, cell: Cell, bundle: Path) -> TrainConfig:
    """Return the training against the method's adversary, which begins with the first phase's weights."""
    first = first_phase(comparison, cell)
    options = {**first.options, "losses": dict(cell.method.losses), "adversary": dict(cell.method.adversary)}
    schedule = comparison.adversarial_schedule
    return replace(first, options=options, schedule=schedule, begin=str(bundle), weights="gan")


def train_cell(comparison: Comparison, cell: Cell, data_root: Path, work: Path) -> Card:
    """Train what is not yet there of a cell, and return its bundle's card."""
    bundle, first = work / cell.folder, first_phase(comparison, cell).at(data_root)
    if not (bundle / CARD_FILE).is_file():
        train(first, bundle)
    card = read_card(bundle)
    refuse_other_settings(bundle, card.training, first)
    if cell.method.adversary and cell.scale <= comparison.adversarial_up_to:
        against = second_phase(comparison, cell, bundle).at(data_root)
        if card.gan is None:
            card = train(against, bundle)
        refuse_other_settings(bundle, (card.gan or {})["training"], against)
    return card


def refuse_other_settings(bundle: Path, training: Mapping[str, Any], config: TrainConfig) -> None:
    """Raise if a cell that is there was trained by other settings than those of the comparison's file."""
    if training.get("settings_sha256") != fingerprint(config):
        what = "was trained by other settings than the comparison's file has now"
        raise TrainingError.about(bundle, what, "Name another --work, or remove this cell and its training folders.")


def finished(comparison: Comparison, work: Path) -> list[tuple[Cell, Card]]:
    """Return the cells that are done, with their cards."""
    folders = [(cell, work / cell.folder) for cell in cells(comparison)]
    return [(cell, read_card(folder)) for cell, folder in folders if (folder / CARD_FILE).is_file()]


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing and write the table, from the command line."""
    from models.comparison_page import section
    from models.comparison_section import check_page, write_section

    parser = argparse.ArgumentParser(prog="python -m models.comparison", description="Train and compare networks.")
    parser.add_argument("--config", type=Path, required=True, help="the comparison's file, TOML")
    parser.add_argument("--data", type=Path, required=True, help="folder that the sources' paths start from")
    parser.add_argument("--work", type=Path, required=True, help="folder of the bundles that are made")
    parser.add_argument("--page", type=Path, help="Markdown file whose section is written anew")
    parser.add_argument("--only", default="", help="train cells whose folder's name holds these words alone")
    parser.add_argument("--no-training", action="store_true", help="write the table of what is there")
    given = parser.parse_args(arguments)
    comparison = read_comparison(given.config)
    if given.page:
        check_page(given.page, comparison.section)
    if not given.no_training:
        for cell in cells(comparison):
            if all(word in cell.folder for word in given.only.split()):
                print(f"{cell.folder}", flush=True)
                train_cell(comparison, cell, given.data, given.work)
    if given.page:
        write_section(given.page, comparison.section, section(comparison, given.work))


if __name__ == "__main__":
    main()
