"""Patches that an `index.csv` lists, a file each.

Columns are file, patient and label, and x and y where a patch's place on its slide is known.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_image import read_rgb

Row = Mapping[str, str]


def list_files(request: PatchRequest) -> list[Patch]:
    """Return the patches of an index whose column `file` names a file each, beside the index or in `images` there.

    Raises
    ------
    TrainingError
        if there is no index, it lacks a column, or it names files that are not there.
    """
    index = request.path / "index.csv"
    rows = read_index(index, {"file", "patient", "label"})
    folders = request.path, request.path / "images"
    paths = [next((one / row["file"] for one in folders if (one / row["file"]).is_file()), None) for row in rows]
    absent = [row["file"] for row, path in zip(rows, paths, strict=True) if path is None]
    if absent:
        what = f"labels {len(absent)} files that are not there ({', '.join(absent[:5])})"
        raise TrainingError.about(index, what, "Copy the files again, or take their rows out.")
    mpp = request.source.mpp
    return [
        Patch(str(path), row["patient"], (row["label"],), partial(read_rgb, path), mpp, corner_of(row, index))
        for row, path in zip(rows, paths, strict=True)
        if path is not None
    ]


def read_index(path: Path, columns: Collection[str]) -> list[Row]:
    """Return the rows of a CSV file, each with text in the given columns.

    Raises
    ------
    TrainingError
        if it cannot be read, lacks a column, or has no rows, or one that is not filled in.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        rows: list[Row] = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError.about(path, f"cannot be read ({error})", "Correct the source's path.") from error
    if not rows:
        raise TrainingError.about(path, "no rows in it", "Give it one row a patch.")
    missing = sorted(set(columns) - rows[0].keys())
    if missing:
        what = f"no column {', '.join(missing)}; it has {', '.join(str(name) for name in rows[0])}"
        raise TrainingError.about(path, what, f"Give it the columns {', '.join(sorted(columns))}.")
    for number, row in enumerate(rows, start=2):
        if any(not row[column] for column in columns):
            raise TrainingError.about(path, f"line {number} is not filled in", "Fill it in, or take it out.")
    return rows


def corner_of(row: Row, index: Path, y: str = "y", x: str = "x") -> tuple[int, int] | None:
    """Return (y, x) in px from two columns of a row, None where they are not there. Raises TrainingError."""
    if not row.get(y) or not row.get(x):
        return None
    return whole_number(row[y], y, index), whole_number(row[x], x, index)


def whole_number(text: str, column: str, index: Path) -> int:
    """Return a whole number that an index states. Raises TrainingError that names the column if it is none."""
    try:
        return int(text)
    except ValueError as error:
        what = f"{column} is {text!r} where a whole number is wanted"
        raise TrainingError.about(index, what, "Correct the row.") from error
