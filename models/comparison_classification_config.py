"""What a comparison of classifiers trains and measures: its file, field by field. An unknown key is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from models.errors import TrainingError
from models.patch_parts import LEAK_PREFIX
from models.patches_seen import NATIVE
from models.train_config import ScheduleConfig, SourceConfig, from_table

CURE = "Correct the comparison's file; `models/comparisons/classification.toml` is an example that works."
LONGEST_NAME = 64
"""Of a bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchData:
    """A block of the page: labelled patches of many patients, and how every network is trained on them."""

    name: str
    classes: tuple[str, ...]
    field_px: int
    """Side of a patch before anything enlarges it."""
    mpp: float
    """um per px of the same."""
    source: SourceConfig
    """Whom it holds out is not said here: the folds do that."""
    schedule: ScheduleConfig
    validation_share: float = 0.15
    """Of the patients that are not tested on: they choose the iteration, and the temperature."""
    network: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that every network has on these patches, such as the small stem."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that every training has, such as the normalisation."""
    text: str = ""
    """What stands above the block's tables."""
    enlarged_schedule: Mapping[str, Any] = field(default_factory=dict)
    """Settings that win over the schedule's behind an enlargement, where a step costs four times as much."""

    def __post_init__(self) -> None:
        held_out = self.source.test or self.source.validation or self.source.test_share or self.source.validation_share
        if held_out or not 0 < self.validation_share < 1 or len(self.classes) < 2:
            msg = (
                f"the set {self.name} wants two classes, a validation_share in 0..1, and nobody held out by its source"
            )
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A network, how it is trained beyond what all share, and the rows of the tables that this makes."""

    name: str
    architecture: str
    """A named option, or an architecture."""
    network: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that win over the option's and the set's: what is reduced stands beside the row."""
    sr: tuple[str, ...] = (NATIVE,)
    """What enlarges the patches before the network sees them, a row each: `none`, `bicubic-x2`, a bundle."""
    split: Literal["patient", "image"] = "patient"
    """`image` shows the leak: patients on both sides of the split. Its row says that it is no result."""
    distortion: float = 0.0
    """Strength of a random affine distortion of all patches."""
    sets: tuple[str, ...] = ()
    """Where this row is made; nothing said means everywhere."""
    folds: int = 0
    """How many of the folds are trained, where not all are."""
    enlarged_folds: int = 0
    """The same for what stands behind an enlargement, where a step costs four times as much; 0 means as many."""
    schedule: Mapping[str, Any] = field(default_factory=dict)
    """Settings that win over the set's."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Task options that win over the set's."""
    beside: str = ""
    """Row of the same set and enlargement that the difference is taken from."""
    halves: tuple[str, ...] = ()
    """Two rows: the difference is taken from the better of them."""

    def __post_init__(self) -> None:
        ranges = {
            "sr": bool(self.sr) and len(set(self.sr)) == len(self.sr),
            "split": self.split in ("patient", "image"),
            "distortion": 0 <= self.distortion <= 1,
            "folds": self.folds >= 0,
            "enlarged_folds": self.enlarged_folds >= 0,
            "halves": len(self.halves) in (0, 2),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"the row {self.name} cannot have {', '.join(wrong)}"
            raise ValueError(msg)

    @property
    def leaks(self) -> bool:
        """Whether patients are on both sides of its split."""
        return self.split == "image"


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of one set's tables: a network behind one enlargement."""

    data: PatchData
    row: Row
    sr: str

    @property
    def folder(self) -> str:
        """What the names of its bundles begin with."""
        words = f"{self.data.name} {self.row.name}{'' if self.sr == NATIVE else f' {self.sr}'}".lower()
        slug = "-".join("".join(sign if sign.isalnum() else " " for sign in words).split())
        return f"{LEAK_PREFIX if self.row.leaks else ''}{slug}"

    def bundle(self, fold: int, folds: int) -> str:
        """Return the name of a fold's bundle, counted from 1 there."""
        return f"{self.folder}-fold-{fold + 1}-of-{folds}"

    def schedule(self) -> ScheduleConfig:
        """Return the training's schedule.

        Raises
        ------
        TrainingError
            if the row sets what no schedule has.
        """
        enlarged = {} if self.sr == NATIVE else self.data.enlarged_schedule
        settings = {**asdict(self.data.schedule), **enlarged, **self.row.schedule}
        return from_table(ScheduleConfig, settings, self.row.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchComparison:
    """What is compared, on what."""

    title: str
    section: str
    """Name of the part of the page that is written anew."""
    rows: tuple[Row, ...]
    sets: tuple[PatchData, ...]
    folds: int = 5
    seed: int = 0
    """Of the folds, and of every training."""
    text: str = ""
    """What stands above the tables."""

    def __post_init__(self) -> None:
        names = [one.name for one in self.rows]
        known_sets = {one.name for one in self.sets}
        asked = [name for row in self.rows for name in (row.beside, *row.halves) if name]
        asked_sets = {name for row in self.rows for name in row.sets}
        if len(set(names)) < len(names) or len(known_sets) < len(self.sets) or not asked_sets <= known_sets:
            msg = f"rows and sets want names of their own, and rows to be made on {', '.join(sorted(known_sets))}"
            raise ValueError(msg)
        if not set(asked) <= set(names):
            msg = f"no row is called {', '.join(sorted(set(asked) - set(names)))}"
            raise ValueError(msg)
        if self.folds < 2 or any(max(row.folds, row.enlarged_folds) > self.folds for row in self.rows):
            msg = f"{self.folds} folds: two are the fewest, and no row can have more"
            raise ValueError(msg)
        long = [name for one in self.variants() if len(name := one.bundle(self.folds, self.folds)) > LONGEST_NAME]
        if long:
            msg = f"the bundle {long[0]} would have more than {LONGEST_NAME} letters; shorten the names"
            raise ValueError(msg)

    def variants(self) -> Iterator[Variant]:
        """Yield the rows of the tables; those that see the same patches are neighbours."""
        for data in self.sets:
            here = [row for row in self.rows if not row.sets or data.name in row.sets]
            for sr in dict.fromkeys(sr for row in here for sr in row.sr):
                yield from (Variant(data, row, sr) for row in here if sr in row.sr)

    def folds_of(self, variant: Variant) -> int:
        """Return how many of the folds a row of the tables has."""
        own = variant.row.folds or self.folds
        return own if variant.sr == NATIVE else variant.row.enlarged_folds or own


def read_patch_comparison(path: Path) -> PatchComparison:
    """Read a comparison's file.

    Raises
    ------
    TrainingError
        if the file is no TOML, a key is unknown or missing, or a value is impossible.
    """
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError.about(path, f"cannot be read ({error})", CURE) from error
    table["rows"] = tuple(from_table(Row, one, path) for one in table.get("rows", []))
    table["sets"] = tuple(_read_set(one, path) for one in table.get("sets", []))
    return from_table(PatchComparison, table, path)


def _read_set(table: dict[str, Any], path: Path) -> PatchData:
    nested = {
        "source": from_table(SourceConfig, table.pop("source", {}), path),
        "schedule": from_table(ScheduleConfig, table.pop("schedule", {}), path),
    }
    return from_table(PatchData, table | nested, path)
