"""The patches of one source, parted for training, for choosing and for the test.

By patient, always; but for a training that is made to show what it does to the figures when patients straddle the
split, as they did in papers that report 99 %. Such a training says so in its name and in its card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.data import choose
from models.data_patches import PatchSet, draw_patch, split_patches
from models.errors import TrainingError
from models.train_config import SourceConfig

LEAK_PREFIX = "leak-"
"""How the name of a training begins whose patients are on both sides of its split."""
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class PatchParts:
    """One source's patches by part, with the share in which examples are drawn from it."""

    share: float
    train: PatchSet
    validation: PatchSet
    test: PatchSet
    test_places: Places
    """Where the patches of the test stand in the source's own order."""

    def draw(self, stain: float, rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
        """Return a random training patch, augmented, and its class; each class that is there is drawn equally often."""
        present = np.unique(self.train.labels)
        by_class = [np.flatnonzero(self.train.labels == label) for label in present]
        image, place = draw_patch(self.train, by_class, stain, rng)
        return image, int(present[place])

    def named_by(self, source: str) -> PatchParts:
        """Return the same with `source: patient` for each patient: numbers of two sources may be the same."""
        train, validation, test = (_named(part, source) for part in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)


def _named(patches: PatchSet, source: str) -> PatchSet:
    return replace(patches, patients=np.array([f"{source}: {patient}" for patient in patches.patients], dtype=np.str_))


def part_by_patient(patches: PatchSet, source: SourceConfig, seed: int) -> PatchParts:
    """Return a source's patches, all of a patient in one part."""
    split = split_patches(patches, source, seed)
    train, validation, test = (_places_of(patches, part) for part in (split.train, split.validation, split.test))
    return _parts(patches, source, (train, validation, test))


def part_by_image(patches: PatchSet, source: SourceConfig, seed: int, fold: tuple[int, int]) -> PatchParts:
    """Return a source's patches dealt out one by one, class by class: a patient's are in all parts. A LEAK.

    `fold` is which of how many folds is the test, from 0; of the other patches `source.validation_share` chooses.

    Raises
    ------
    TrainingError
        if there is no such fold.
    """
    which, count = fold
    if not 0 <= which < count or count < 2:
        what = f"{source.name}: there is no fold {which} of {count}"
        raise TrainingError(what, "Count folds from 0, and ask for two or more.")
    rng = np.random.default_rng(seed)
    fold_of = np.empty(len(patches.labels), np.intp)
    for label in np.unique(patches.labels):
        places = rng.permutation(np.flatnonzero(patches.labels == label))
        fold_of[places] = np.arange(len(places)) % count
    others = rng.permutation(np.flatnonzero(fold_of != which))
    chosen = round(source.validation_share * len(others))
    return _parts(
        patches, source, (np.sort(others[chosen:]), np.sort(others[:chosen]), np.flatnonzero(fold_of == which))
    )


def _places_of(patches: PatchSet, patients: Sequence[str]) -> Places:
    return np.flatnonzero(np.isin(patches.patients, list(patients)))


def _parts(patches: PatchSet, source: SourceConfig, places: tuple[Places, Places, Places]) -> PatchParts:
    train, validation, test = (_at(patches, some) for some in places)
    return PatchParts(source.share, train, validation, test, places[2])


def _at(patches: PatchSet, places: Places) -> PatchSet:
    return PatchSet(patches.pixels[places], patches.labels[places], patches.patients[places])


def pool(sets: Sequence[PatchSet]) -> PatchSet:
    """Return the patches of several sources as one set."""
    if len(sets) == 1:
        return sets[0]
    return PatchSet(
        np.concatenate([one.pixels for one in sets]),
        np.concatenate([one.labels for one in sets]),
        np.concatenate([one.patients for one in sets]),
    )


def draw_from(parts: Sequence[PatchParts], stain: float, rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
    """Return a random training patch of the sources, drawn in proportion to their shares, and its class."""
    one = parts[0] if len(parts) == 1 else parts[choose([part.share for part in parts], rng)]
    return one.draw(stain, rng)


def refuse_untaught_classes(parts: Sequence[PatchParts], classes: Sequence[str], where: str) -> None:
    """Raise if a class has no patch to learn from.

    Raises
    ------
    TrainingError
        that names the classes.
    """
    taught = {int(label) for part in parts if part.share for label in part.train.labels}
    absent = [name for label, name in enumerate(classes) if label not in taught]
    if absent:
        what = f"{where}: no training patch is of the class {', '.join(absent)}"
        raise TrainingError(what, "Hold out fewer of its patients, or take the class out of `classes`.")
