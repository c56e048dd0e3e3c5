"""Cross-validation of classifiers by patient: every patch is judged once, by the network that never saw its patient.

Folds are stratified: patients are ordered by their labels and dealt out like cards, by lot within every round, so that
each fold has its share of those of each class. Of the patients that a fold does not test on, some choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.comparison_classification_config import PatchComparison, Variant
from models.data_patches import PatchSet
from models.errors import TrainingError
from models.metrics_classes import by_patient
from models.patches_seen import NATIVE
from models.train_config import TrainConfig

Patients = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Who is tested on, and who chooses between weights; all others are trained on."""

    test: Patients
    validation: Patients


def patient_folds(patches: PatchSet, count: int, validation_share: float, seed: int) -> list[Fold]:
    """Return the folds of a set, every patient tested on in one.

    Raises
    ------
    TrainingError
        if there are fewer patients than folds.
    """
    ordered = _in_order(patches)
    if len(ordered) < count:
        what = f"{len(ordered)} patients do not fill {count} folds"
        raise TrainingError(what, "Ask for fewer folds.")
    rng = np.random.default_rng(seed)
    folds = []
    for test in _deal(ordered, count, rng):
        others = [patient for patient in ordered if patient not in test]
        parts = min(max(2, round(1 / validation_share)), len(others))
        folds.append(Fold(test, _deal(others, parts, rng)[0]))
    return folds


def _in_order(patches: PatchSet) -> list[str]:
    """Return the patients by the class of most of their patches, then by its share."""
    classes = int(patches.labels.max()) + 1
    one = by_patient(patches.labels, np.eye(classes)[patches.labels], patches.patients)
    shares = one.probabilities[np.arange(len(one.labels)), one.labels]
    return [str(one.patients[place]) for place in np.lexsort((one.patients, shares, one.labels))]


def _deal(ordered: Sequence[str], count: int, rng: np.random.Generator) -> list[Patients]:
    """Return the patients in `count` parts: of each round of so many neighbours, every part gets one, by lot.

    The last round may be a short one; then lot decides who gets none.
    """
    parts: list[list[str]] = [[] for _ in range(count)]
    for start in range(0, len(ordered), count):
        for part, patient in zip(rng.permutation(count), ordered[start : start + count], strict=False):
            parts[part].append(patient)
    return [tuple(sorted(part)) for part in parts]


def fold_config(comparison: PatchComparison, variant: Variant, fold: int, who: Fold, factor: int) -> TrainConfig:
    """Return the training of a row's fold, behind an enlargement by `factor`; in the leak's row, of images by lot."""
    data, row = variant.data, variant.row
    if row.leaks:
        source = replace(data.source, validation_share=data.validation_share)
        own = {"leak_split_by_image": (fold, comparison.folds)}
    else:
        source = replace(data.source, test=who.test, validation=who.validation)
        own = {}
    options = {"classes": data.classes, "field_px": data.field_px * factor, **data.options, **row.options, **own}
    if variant.sr != NATIVE:
        options["sr_pre"] = variant.sr
    if row.distortion:
        options["distortion"] = row.distortion
    return TrainConfig(
        name=variant.bundle(fold, comparison.folds),
        task="classification",
        architecture=row.architecture,
        mpp=data.mpp / factor,
        licence=data.source.licence,
        limits="Made to be compared, not to be used." + (" ITS PATIENTS LEAK." if row.leaks else ""),
        network={"classes": len(data.classes), **data.network, **row.network},
        options=options,
        sources=(source,),
        schedule=variant.schedule(),
        seed=comparison.seed,
    )


def at(config: TrainConfig, data_root: Path, device: str) -> TrainConfig:
    """Return the same training on data under a folder, on a device."""
    return replace(config.at(data_root), device=device)
