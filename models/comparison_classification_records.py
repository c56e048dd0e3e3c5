"""What the networks of a comparison said of the patches that they had left out: a small file a fold.

The tables follow from these records alone. They outlive the weights, so that a figure can be recomputed by whoever
doubts it, and a fold whose record is there is not trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.errors import BundleError


@dataclass(frozen=True, slots=True)
class Answers:
    """What networks said of n patches that they had left out."""

    places: NDArray[np.intp]
    """(n,): where the patches stand in their set."""
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    """(n, k)."""

    def at(self, chosen: NDArray[np.intp]) -> Answers:
        """Return some of the answers."""
        return Answers(self.places[chosen], self.labels[chosen], self.patients[chosen], self.probabilities[chosen])


def pool(parts: Sequence[Answers]) -> Answers:
    """Return the answers of several folds together, in the set's own order."""
    joined = Answers(*(np.concatenate([getattr(one, name) for one in parts]) for name in Answers.__slots__))
    return joined.at(np.argsort(joined.places))


@dataclass(frozen=True, slots=True)
class Record:
    """A fold's answers, and the card of the network that gave them."""

    card: Card
    answers: Answers


def record_path(folder: Path, name: str) -> Path:
    """Return where the record of a fold's bundle lies."""
    return folder / f"{name}.npz"


def read_record(path: Path) -> Record | None:
    """Return a record; None where there is none, or it is not whole."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            card = Card.from_json(str(kept["card"]), path)
            patients = kept["patient_names"][kept["patients"]]
            places, labels = kept["places"].astype(np.intp), kept["labels"].astype(np.int64)
            return Record(card, Answers(places, labels, patients, kept["probabilities"].astype(np.float32)))
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile, BundleError):
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answers = record.answers
    names, patients = np.unique(answers.patients, return_inverse=True)
    unfinished = path.with_name(f"unfinished-{path.name}")
    np.savez_compressed(
        unfinished,
        card=np.array(record.card.to_json()),
        places=answers.places.astype(np.uint32),
        labels=answers.labels.astype(np.uint8),
        patient_names=names,
        patients=patients.astype(np.uint16),
        probabilities=answers.probabilities,
    )
    unfinished.replace(path)
