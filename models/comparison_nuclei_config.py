"""What a comparison of nuclei networks measures: its file, field by field. An unknown key is an error."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from models.errors import TrainingError
from models.organs import COLUMNS
from models.train_config import from_table

CURE = "Correct the comparison's file; `models/comparisons/nuclei.toml` is an example that works."
MONUSEG = "monuseg"
Kind = Literal["instances", "masks"]
Unit = Literal["patient", "tile", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """Labelled images of one origin, and the patients of it that every network must have left out."""

    __test__ = False  # no test of pytest's

    name: str
    """As the trainings' sources call it: cards say by this name whom they saw."""
    path: str
    """Folder with `images` and `labels` (or `masks`), below the data folder."""
    kind: Kind
    mpp: float
    """um per px."""
    patient: str = "(.+)"
    """Regular expression whose first group is the patient in a file's stem."""
    unit: Unit = "patient"
    """What that group really is. Where it is a tile or an image, patients are not known, and may straddle the split."""
    test: tuple[str, ...]
    """Patients that are measured on."""
    organs: str = ""
    """`monuseg` for the table in `models.monuseg`, or a CSV below the data folder."""
    organ_columns: tuple[str, str] = COLUMNS
    """Of that CSV: the image's, the organ's."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.mpp <= 0 or not self.test:
            msg = f"the set {self.name} wants a kind ({', '.join(get_args(Kind))}), an mpp above 0, and test patients"
            raise ValueError(msg)
        if self.unit not in get_args(Unit):
            msg = f"the set {self.name} wants a unit: {', '.join(get_args(Unit))}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A row of the product's table: how coarse the scan is, and how it is brought to a network's resolution."""

    name: str
    factor: int = 1
    """Native px along one px of the scan, made by antialiased bicubic."""
    enlarge: str = ""
    """`bicubic` or a super-resolution bundle. Without it the network sees the scan as it is, and what it finds is
    enlarged to the native grid by the nearest px."""
    network: str = ""
    """Another bundle than the table's."""
    beside: str = ""
    """Row that the paired difference is taken from, besides that from the first row."""
    views: int = 1
    """Mirrored views that the network answers from, as a mean."""

    def __post_init__(self) -> None:
        if self.factor not in (1, 2, 4, 8, 16) or (self.factor == 1 and self.enlarge):
            msg = f"the scan {self.name} wants a factor of 1, 2, 4, 8 or 16, and at 1 nothing to enlarge by"
            raise ValueError(msg)


NATIVE = Scan(name="native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What super-resolution is good for: one network, several scans, a table a set."""

    sets: tuple[str, ...]
    bundle: str
    scans: tuple[Scan, ...]

    def __post_init__(self) -> None:
        names = [scan.name for scan in self.scans]
        unknown = [scan.beside for scan in self.scans if scan.beside and scan.beside not in names]
        if unknown or len(set(names)) < len(names) or not names:
            msg = f"scans want names of their own, and to stand beside one of them (not {', '.join(unknown) or 'none'})"
            raise ValueError(msg)

    @property
    def largest_factor(self) -> int:
        """Multiple of px that images are cut to, so that all scans are judged on the same ones; others divide it."""
        return max(scan.factor for scan in self.scans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """A cross-validation by patient: `count` trainings like `base`, each without its share of the patients."""

    set: str
    count: int
    base: str
    """Training file, relative to the comparison's."""
    first: str = ""
    """Training file of bundles, one a fold on the same patients, that those of `base` begin with."""
    views: tuple[int, ...] = (1,)
    """Mirrored views that the networks answer from, as a mean: a row for each number. They are tuned with one."""

    def __post_init__(self) -> None:
        if self.count < 2:
            msg = f"{self.count} folds leave nobody to train on"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class NucleiComparison:
    """What is compared, on what."""

    title: str
    section: str
    """Name of the part of the page that is written anew."""
    bundles: tuple[str, ...]
    """Shipped names, folders below the work folder, or paths; those that are not there are left out, and said so."""
    sets: tuple[TestSet, ...]
    trainings: tuple[str, ...] = ()
    """Training files, relative to the comparison's, whose bundles are made in the work folder before anything else."""
    tune_images: int = 0
    """Images of each part of each source that the instance step of what is trained here is tuned on; 0: of none."""
    product: Product | None = None
    folds: Folds | None = None
    text: str = ""
    """What stands above the tables."""

    def __post_init__(self) -> None:
        known = [one.name for one in self.sets]
        wanted = [*(self.product.sets if self.product else ()), *([self.folds.set] if self.folds else ())]
        if len(set(known)) < len(known) or not set(wanted) <= set(known):
            msg = f"sets want names of their own; there are {', '.join(known)}, and {', '.join(wanted)} are asked for"
            raise ValueError(msg)

    def set_named(self, name: str) -> TestSet:
        """Return a set by its name."""
        return next(one for one in self.sets if one.name == name)


def read_nuclei_comparison(path: Path) -> NucleiComparison:
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
    table["sets"] = tuple(from_table(TestSet, one, path) for one in table.get("sets", []))
    if "product" in table:
        scans = tuple(from_table(Scan, one, path) for one in table["product"].pop("scans", []))
        table["product"] = from_table(Product, table["product"] | {"scans": scans}, path)
    if "folds" in table:
        table["folds"] = from_table(Folds, table["folds"], path)
    return from_table(NucleiComparison, table, path)
