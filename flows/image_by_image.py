"""Many images, a few at a time: the figures of each, and the names of those that could not be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from models.errors import EvaluationError, UnreadableImage

OnImage = Callable[[int, int], None]
"""Hears how many images of how many are done."""
Judged = TypeVar("Judged")

MOST_THREADS = 4
"""A network computes for one at a time; the others are measured meanwhile, at half a gigabyte for 4 megapixels."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that no figure is of."""

    file: str
    reason: str


def judge_each(
    files: Sequence[Path], judge: Callable[[Path], Judged], on_image: OnImage | None = None
) -> tuple[dict[Path, Judged], list[Skipped]]:
    """Return what `judge` says of each file, in their order, and which it could not read.

    Raises
    ------
    EvaluationError
        if it could read none.
    """

    def attempt(path: Path) -> Judged | Skipped:
        try:
            return judge(path)
        except UnreadableImage as error:
            return Skipped(path.name, error.what)

    judged: dict[Path, Judged] = {}
    skipped: list[Skipped] = []
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for done, (path, outcome) in enumerate(zip(files, pool.map(attempt, files), strict=True), start=1):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                judged[path] = outcome
            if on_image:
                on_image(done, len(files))
    if not judged:
        reasons = "; ".join(one.reason for one in skipped[:3])
        what = f"none of {len(files)} files is an image that can be judged: {reasons}"
        raise EvaluationError.about(files[0].parent, what, "Give a folder of PNG, JPEG, WebP or flat TIFF images.")
    return judged, skipped
