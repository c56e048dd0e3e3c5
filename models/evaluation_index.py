"""The index of an evaluation of patches, and probabilities that somebody else computed for it.

`index.csv` has the columns `file`, `patient` and `label` (a class's name or its index), or in place of `file` those of
patches on sheets, `sheet`, `row` and `column`; predictions are a Parquet table with `file` and a column `p_<class>` for
every class.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.errors import EvaluationError, TrainingError
from models.patches_index import Row
from models.patches_sheets import RASTER_COLUMNS, SheetPlace, place_rows

LABELS = ("patient", "label")
PREFIX = "p_"
SUM_TOLERANCE = 1e-3
"""How far the probabilities of a row may be from 1 in sum."""


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """Patches (n,): where they are, whose they are, and which class."""

    files: tuple[str, ...]
    """As the index writes them, relative to the images' folder; `sheet_00.webp row 3 column 4` on sheets."""
    patients: tuple[str, ...]
    labels: tuple[int, ...]
    places: tuple[Path | SheetPlace, ...]
    """Where their pixels are."""

    def of(self, places: Iterable[int]) -> LabelledFiles:
        """Return some of the rows."""
        rows = list(zip(self.files, self.patients, self.labels, self.places, strict=True))
        return LabelledFiles(*zip(*(rows[place] for place in places), strict=True))


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities (n, k) by file, in the order of the classes."""

    classes: tuple[str, ...]
    by_file: dict[str, NDArray[np.float32]]


def read_index(path: Path, folder: Path, classes: Sequence[str]) -> LabelledFiles:
    """Return the rows of an index whose files lie in `folder`.

    Raises
    ------
    EvaluationError
        if it cannot be read, lacks a column, has no rows or the same file twice, names an absent file or an unknown
        class.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError.about(path, f"cannot be read ({error})", "Give a CSV file.") from error
    on_sheets = bool(rows) and "file" not in rows[0] and "sheet" in rows[0]
    wanted = (*(RASTER_COLUMNS if on_sheets else ("file",)), *LABELS)
    lacking = [name for name in wanted if not rows or not all(row.get(name) for row in rows)]
    if lacking:
        what = f"no rows, or rows without {', '.join(lacking)}"
        raise EvaluationError.about(path, what, f"Give a CSV with the columns {', '.join(wanted)}.")
    named = _on_sheets(rows, path, folder) if on_sheets else _files(rows, path, folder)
    files, places = zip(*named, strict=True)
    _refuse_repeated(path, files)
    labels = tuple(_class_index(row["label"], classes, path) for row in rows)
    return LabelledFiles(files, tuple(row["patient"] for row in rows), labels, places)


def _files(rows: Sequence[Row], path: Path, folder: Path) -> list[tuple[str, Path]]:
    """Return the files of an index, as it writes them and where they are."""
    absent = [row["file"] for row in rows if not (folder / row["file"]).is_file()]
    if absent:
        what = f"names {len(absent)} files that are not in {folder} ({', '.join(absent[:5])})"
        raise EvaluationError.about(path, what, "Correct the index, or give the folder that holds its files.")
    return [(row["file"], folder / row["file"]) for row in rows]


def _on_sheets(rows: Sequence[Row], path: Path, folder: Path) -> list[tuple[str, SheetPlace]]:
    """Return the names and the places of an index's patches on sheets."""
    try:
        return [(place.name, place) for place in place_rows(rows, path, folder)]
    except TrainingError as error:
        raise EvaluationError(error.what, error.cure) from error


def _class_index(label: str, classes: Sequence[str], path: Path) -> int:
    if label in classes:
        return list(classes).index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    what = f"label {label!r} is none of {', '.join(classes)}"
    raise EvaluationError.about(path, what, "Write a class by its name, or by its index from 0.")


def read_predictions(path: Path, classes: Sequence[str] | None = None) -> Predictions:
    """Return a table of probabilities; its classes are those of its columns, in the order of `classes` where given.

    Raises
    ------
    EvaluationError
        if it cannot be read, lacks a column or has one too many, the same file twice, or rows that are no
        probabilities.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise EvaluationError.about(path, f"no readable Parquet ({error})", "Give a Parquet table.") from error
    found = tuple(name.removeprefix(PREFIX) for name in table.column_names if name.startswith(PREFIX))
    named = tuple(classes) if classes is not None else found
    if "file" not in table.column_names or len(named) < 2 or set(found) != set(named):
        what = f"has the columns {', '.join(table.column_names)}"
        wanted = (
            ", ".join(f"{PREFIX}{name}" for name in named) if len(named) > 1 else f"a {PREFIX}<class> for each class"
        )
        raise EvaluationError.about(path, what, f"Give the columns file, {wanted}.")
    files = [str(name) for name in table["file"].to_pylist()]
    _refuse_repeated(path, files)
    probabilities = _probabilities(path, table, named)
    return Predictions(named, dict(zip(files, probabilities, strict=True)))


def _probabilities(path: Path, table: pa.Table, classes: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, k) numbers, checked to be probabilities."""
    cure = "Give numbers from 0 to 1 that sum to 1 in every row."
    try:
        columns = [np.asarray(table[f"{PREFIX}{name}"].to_numpy(), dtype=np.float64) for name in classes]
    except (TypeError, ValueError) as error:
        raise EvaluationError.about(path, f"holds something else than numbers ({error})", cure) from error
    values = np.stack(columns, axis=1)
    wrong = ~((values >= 0).all(1) & (values <= 1).all(1) & (np.abs(values.sum(1) - 1) <= SUM_TOLERANCE))
    if wrong.any():
        row = int(wrong.argmax())
        what = f"row {row} ({table['file'][row]}) holds {', '.join(f'{value:g}' for value in values[row])}"
        raise EvaluationError.about(path, what, cure)
    return values.astype(np.float32)


def match_predictions(path: Path, predictions: Predictions, files: Sequence[str]) -> NDArray[np.float32]:
    """Return the probabilities (n, k) of files, in their order.

    Raises
    ------
    EvaluationError
        if there are predictions for other files, or none for some.
    """
    for names, what in (
        (set(predictions.by_file) - set(files), "files that the index does not name"),
        (set(files) - set(predictions.by_file), "files of the index missing"),
    ):
        if names:
            listed = ", ".join(sorted(names)[:5])
            cure = "Predict exactly the files of the index, written as they are there."
            raise EvaluationError.about(path, f"{len(names)} {what} ({listed})", cure)
    return np.stack([predictions.by_file[name] for name in files])


def _refuse_repeated(path: Path, files: Iterable[str]) -> None:
    repeated = sorted(name for name, times in Counter(files).items() if times > 1)
    if repeated:
        what = f"names {len(repeated)} files more than once ({', '.join(repeated[:5])})"
        raise EvaluationError.about(path, what, "Keep one row a file.")
