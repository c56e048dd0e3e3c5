"""Who is measured: a bundle for the task asked for, by name and hash, and whom its training saw."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from models.card import Card
from models.errors import EvaluationError
from models.shelf import read_card

_COUNTS = re.compile(r"\d{1,3}")
"""How sets number their images. Hospitals' numbers of patients are longer: IDC's have four digits or five."""


def card_of(bundle: str, task: str) -> Card:
    """Return a bundle's card.

    Raises
    ------
    ModelError
        if there is no such bundle, or it does something else.
    """
    card = read_card(bundle)
    if card.task != task:
        what = f"a network for {card.task}, where one for {task} is wanted"
        raise EvaluationError.about(bundle, what, "`histoloom models` lists the bundles and their tasks.")
    return card


def describe(card: Card) -> dict[str, str]:
    """Return what identifies a bundle's weights."""
    return {"name": card.name, "sha256": card.sha256}


def describe_file(path: Path) -> dict[str, str]:
    """Return what identifies a file."""
    with path.open("rb") as file:
        return {"name": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def trained_on(card: Card | None, patients: Iterable[str]) -> list[str]:
    """Return the patients that the card says training or choosing saw: their figures say nothing about others.

    Cards write `set: patient` or the patient alone; either may be what a user calls them. A mere number of up to three
    digits names nobody unless its set stands before it: image `1` of one set is not image `1` of another.
    """
    parts = [card.training.get(f"{part}_patients", ()) for part in ("train", "validation")] if card else []
    names = {str(name) for part in parts for name in part}
    known = names | {name.rpartition(": ")[2] for name in names}
    return sorted(one for one in known.intersection(patients) if not _COUNTS.fullmatch(one))
