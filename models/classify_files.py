"""Patches in files, or on sheets, through a classifier, some at a time, so that any number fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import EvaluationError, UnreadableImage
from models.evaluation_images import decode
from models.patches_sheets import SHEETS_HELD, SheetPlace

Classify = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Maps patches (n, y, x, 3) uint8 to probabilities (n, k), as `models.predict.Predictor` does."""

FILES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class ClassifiedFiles:
    """Probabilities (n, k) of the files that could be read."""

    probabilities: NDArray[np.float32]
    read: tuple[int, ...]
    """Which of the files these are, by their places in the list."""
    skipped: tuple[tuple[int, UnreadableImage], ...]


def classify_files(
    classify: Classify,
    files: Sequence[Path | SheetPlace],
    field_px: int,
    on_image: Callable[[int, int], None] | None = None,
    *,
    at_once: int = FILES_AT_ONCE,
) -> ClassifiedFiles:
    """Return the probabilities of patches of `field_px` a side; `on_image` hears how many of how many are done.

    Raises
    ------
    EvaluationError
        if a patch has another size, or none can be read.
    """
    probabilities: list[NDArray[Any]] = []
    read: list[int] = []
    skipped: list[tuple[int, UnreadableImage]] = []
    held = lru_cache(SHEETS_HELD)(decode)
    for start in range(0, len(files), at_once):
        patches = []
        for place, file in enumerate(files[start : start + at_once], start):
            try:
                pixels = file.cut(held(file.path)) if isinstance(file, SheetPlace) else decode(file)
                patches.append(_of_side(pixels, field_px, file))
                read.append(place)
            except UnreadableImage as error:
                skipped.append((place, error))
        if patches:
            probabilities.append(classify(np.stack(patches)))
        if on_image:
            on_image(min(start + at_once, len(files)), len(files))
    if not probabilities:
        what = f"none of {len(files)} patches can be read ({files[0].name} is the first)"
        raise EvaluationError.about(_path(files[0]).parent, what, "Give image files, such as PNG or JPEG.")
    return ClassifiedFiles(np.concatenate(probabilities), tuple(read), tuple(skipped))


def _path(file: Path | SheetPlace) -> Path:
    return file.path if isinstance(file, SheetPlace) else file


def _of_side(patch: NDArray[np.uint8], field_px: int, file: Path | SheetPlace) -> NDArray[np.uint8]:
    """Return a patch (y, x, 3) as it is; raise if it is not of `field_px` a side."""
    height, width = patch.shape[:2]
    if (height, width) != (field_px, field_px):
        what = f"{width} x {height} px where the network takes {field_px} x {field_px}"
        raise EvaluationError.about(_path(file), what, "Cut or resample the patches to the card's field and um per px.")
    return patch
