"""Which organ an image shows: a table that somebody keeps beside the images."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

from models.data import IMAGE_SUFFIXES
from models.errors import EvaluationError

COLUMNS = ("image", "organ")


def read_organs(path: Path, columns: tuple[str, str] = COLUMNS) -> dict[str, str]:
    """Return organ by image from a CSV; whether it writes an image with its suffix, or which, does not matter.

    Raises
    ------
    EvaluationError
        if it cannot be read, lacks a column or a value, or gives an image two organs.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError.about(path, f"cannot be read ({error})", "Give a CSV file.") from error
    lacking = [name for name in columns if not rows or not all(row.get(name) for row in rows)]
    if lacking:
        what = f"no rows, or rows without {', '.join(lacking)}"
        raise EvaluationError.about(path, what, f"Give a CSV with the columns {', '.join(columns)}.")
    organs: dict[str, str] = {}
    for row in rows:
        image, organ = _bare(row[columns[0]]), row[columns[1]]
        if organs.setdefault(image, organ) != organ:
            what = f"{image} shows {organs[image]} in one row and {organ} in another"
            raise EvaluationError.about(path, what, "Keep one row an image.")
    return organs


def organs_of(names: Iterable[str], organs: Mapping[str, str], where: str | Path) -> dict[str, str]:
    """Return the organ of each file.

    Raises
    ------
    EvaluationError
        that names files without an organ; `where` is the table.
    """
    found = {name: organs.get(_bare(name)) for name in names}
    absent = [name for name, organ in found.items() if organ is None]
    if absent:
        what = f"no organ for {len(absent)} images ({', '.join(absent[:5])})"
        raise EvaluationError.about(where, what, "Add a row for each; write `unknown` where it is not known.")
    return {name: organ for name, organ in found.items() if organ is not None}


def _bare(name: str) -> str:
    """Return a file's name without the suffix of an image; ids with dots in them keep theirs."""
    path = PurePath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name
