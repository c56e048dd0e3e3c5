"""How much better one classifier is than another on the very same patches, with an interval over patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.comparison_classification_records import Answers
from models.evaluate_classification import balanced_accuracy_of
from models.metrics import bootstrap_interval
from models.metrics_classes import by_patient, macro_auc

Figure = Callable[[Answers], float]

FIGURES: Mapping[str, Figure] = {
    "balanced accuracy": lambda one: balanced_accuracy_of(one.labels, one.probabilities),
    "AUC": lambda one: macro_auc(one.labels, one.probabilities),
}
"""Figures of patches that differences are taken of."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure less another's, and the 95 % interval over patients."""

    value: float
    low: float
    high: float


def on_same_patches(one: Answers, other: Answers) -> tuple[Answers, Answers]:
    """Return both answers to the patches that both were asked about, in the same order: folds may be missing."""
    _, mine, theirs = np.intersect1d(one.places, other.places, return_indices=True)
    return one.at(mine), other.at(theirs)


def difference(one: Answers, other: Answers, figure: Figure) -> Difference:
    """Return how much a figure over patches exceeds another network's, of the same patches."""

    def of(sample: NDArray[np.int64]) -> float:
        return figure(one.at(sample)) - figure(other.at(sample))

    return Difference(of(np.arange(len(one.labels))), *bootstrap_interval(one.patients, of))


def score_difference(one: Answers, other: Answers) -> Difference:
    """Return how much the patient score (`models.metrics_classes`) exceeds another network's, of the same patches."""
    mine, theirs = (by_patient(answers.labels, answers.probabilities, answers.patients) for answers in (one, other))
    gains = mine.right - theirs.right
    interval = bootstrap_interval(mine.patients, lambda sample: float(gains[sample].mean()))
    return Difference(float(gains.mean()), *interval)
