"""Patches that lie side by side on sheets, `sheet_NN.webp`, in a raster whose places an `index.csv` names.

Columns are sheet, row and column (from 0), patient and label, and x and y where a patch's place on its slide is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_image import read_rgb, read_size
from models.patches_index import Row, corner_of, read_index, whole_number

RASTER_COLUMNS = ("sheet", "row", "column")
SHEETS_HELD = 4
"""An index that goes through the sheets in their order needs one at a time."""


@dataclass(frozen=True, slots=True)
class SheetPlace:
    """Where a patch lies on a sheet."""

    path: Path
    """Of the sheet."""
    row: int
    column: int
    side_px: int

    @property
    def name(self) -> str:
        """What the patch is called beside others of its folder."""
        return f"{self.path.name} row {self.row} column {self.column}"

    def cut(self, sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the patch (side, side, 3) of a sheet (y, x, 3)."""
        top, left = self.row * self.side_px, self.column * self.side_px
        return sheet[top : top + self.side_px, left : left + self.side_px]


def list_sheets(request: PatchRequest) -> list[Patch]:
    """Return the patches that an index places on sheets.

    Raises
    ------
    TrainingError
        if there is no index, it lacks a column, or its rows and columns do not fit the sheets.
    """
    index = request.path / "index.csv"
    rows = read_index(index, {*RASTER_COLUMNS, "patient", "label"})
    held, mpp = lru_cache(SHEETS_HELD)(read_rgb), request.source.mpp
    return [
        Patch(
            str(request.path / place.name),
            row["patient"],
            (row["label"],),
            partial(_cut, held, place),
            mpp,
            corner_of(row, index),
        )
        for row, place in zip(rows, place_rows(rows, index, request.path), strict=True)
    ]


def place_rows(rows: Sequence[Row], index: Path, folder: Path) -> list[SheetPlace]:
    """Return where the rows of an index lie on the sheets of a folder, without gaps.

    A patch is as wide as the widest sheet divided by the columns that the index uses.

    Raises
    ------
    TrainingError
        if a number is none, a sheet is missing, or rows and columns do not fit the sheets.
    """
    places = [_numbers(row, index) for row in rows]
    sizes = {sheet: read_size(_sheet(folder, sheet)) for sheet in {sheet for sheet, _, _ in places}}
    columns = 1 + max(column for _, _, column in places)
    side_px, rest = divmod(max(width for _, width in sizes.values()), columns)
    fits = [(row + 1) * side_px <= sizes[sheet][0] for sheet, row, _ in places]
    if rest or not side_px or not all(fits):
        what = f"{columns} columns, and rows up to {max(row for _, row, _ in places)}, are no raster on the sheets"
        raise TrainingError.about(index, what, "List patches in every column of the sheets, which begin at 0.")
    return [SheetPlace(_sheet(folder, sheet), row, column, side_px) for sheet, row, column in places]


def _numbers(row: Row, index: Path) -> tuple[int, int, int]:
    """Return sheet, row and column, from 0."""
    sheet, line, column = (whole_number(row[name], name, index) for name in RASTER_COLUMNS)
    if min(sheet, line, column) < 0:
        what = f"sheet {sheet}, row {line}, column {column}: they begin at 0"
        raise TrainingError.about(index, what, "Correct the row.")
    return sheet, line, column


def _sheet(folder: Path, number: int) -> Path:
    return folder / f"sheet_{number:02d}.webp"


def _cut(read: Callable[[Path], NDArray[np.uint8]], place: SheetPlace) -> NDArray[np.uint8]:
    return place.cut(read(place.path))
