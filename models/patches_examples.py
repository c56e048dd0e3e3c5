"""Labelled patches before they are read: what they are called, whose they are, and how to get at their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.slide_reader import OpenSlide
from models.train_config import SourceConfig

Read = Callable[[], NDArray[np.uint8]]
"""Returns (y, x, 3) RGB; raises TrainingError where there is none to be had."""


@dataclass(frozen=True, slots=True)
class PatchRequest:
    """What a layout is asked for."""

    source: SourceConfig
    path: Path
    """The source's file or folder."""
    classes: tuple[str, ...]
    field_px: int
    """Side of the network's field."""
    mpp: float | None
    """um per px of the network; None where it does not matter."""
    open_slide: OpenSlide


@dataclass(frozen=True, slots=True)
class Patch:
    """A labelled patch that can be read; holds no pixels itself."""

    name: str
    """The file it comes from, and the place in it where there are several."""
    group: str
    """What the source's `patient` expression is matched against."""
    labels: tuple[str, ...]
    """What it is called, the narrowest name first: `ductal_carcinoma`, `malignant`."""
    read: Read
    mpp: float | None = None
    """um per px of what is read; None where nobody says."""
    corner_px: tuple[int, int] | None = None
    """(y, x) of its first corner on the slide, in px of the source; None where nobody says."""


def class_index(patch: Patch, classes: Sequence[str]) -> int:
    """Return the class of a patch: the first of its labels that is a class's name, in any case, or a class's index.

    Raises
    ------
    TrainingError
        if it is neither.
    """
    names = [name.casefold() for name in classes]
    for label in patch.labels:
        if label.casefold() in names:
            return names.index(label.casefold())
        if label.isdecimal() and int(label) < len(names):
            return int(label)
    what = f"label {' or '.join(map(repr, patch.labels))} is none of the classes {', '.join(classes)}"
    raise TrainingError.about(patch.name, what, "Name all `classes`, or take out what is none of them.")
