"""Metrics of classes: each against the rest, over all of them, and patient by patient. A formula each, on numpy arrays.

Counts are (k, k): rows are the truth, columns what was predicted (`models.metrics.confusion`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import Floats, Labels, auc

Counts = NDArray[np.int64]


def one_vs_rest(counts: Counts) -> dict[str, Floats]:
    """Return the figures (k,) of each class against all others, by name.

    Accuracy (TP + TN) / N, precision TP / (TP + FP), recall TP / (TP + FN), specificity TN / (TN + FP), F1 the harmonic
    mean of precision and recall; 0 where nothing stands below the line.
    """
    total, hits = counts.sum(), np.diag(counts)
    true, predicted = counts.sum(1), counts.sum(0)
    neither = total - true - predicted + hits
    return {
        "accuracy": _share(hits + neither, np.broadcast_to(total, hits.shape)),
        "precision": _share(hits, predicted),
        "recall": _share(hits, true),
        "specificity": _share(neither, total - true),
        "f1": _share(2 * hits, true + predicted),
    }


def class_averages(counts: Counts) -> dict[str, float]:
    """Return accuracy, Cohen's kappa, and precision, recall, F1 and specificity as plain means over classes.

    Accuracy is trace / N, which is not the mean of the classes' own accuracies; F1 is the mean of the classes' own.
    kappa = (accuracy - e) / (1 - e), e the accuracy of guessing by the margins alone (Cohen 1960).
    """
    total = counts.sum()
    accuracy = np.trace(counts) / total
    by_chance = (counts.sum(1) * counts.sum(0)).sum() / total**2
    each = one_vs_rest(counts)
    return {
        "accuracy": float(accuracy),
        "kappa": float(_share(accuracy - by_chance, 1 - by_chance)),
        **{name: float(each[name].mean()) for name in ("precision", "recall", "f1", "specificity")},
    }


def _share(part: Floats | Counts, whole: Floats | Counts) -> Floats:
    """Return part / whole, and 0 where the whole is nothing."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) != 0)


def class_aucs(labels: Labels, probabilities: Floats) -> Floats:
    """Return the areas (k,) under the ROC curves of each class against the rest; NaN where one side is absent."""
    return np.array([auc(labels == one, probabilities[:, one]) for one in range(probabilities.shape[1])])


def macro_auc(labels: Labels, probabilities: Floats) -> float:
    """Return the area under the ROC curve of (n, k): of class 1 for two classes, else the mean over classes.

    The mean is of each class against the rest, over those that have both sides; NaN without any.
    """
    if probabilities.shape[1] == 2:
        return auc(labels == 1, probabilities[:, 1])
    areas = class_aucs(labels, probabilities)
    known = areas[np.isfinite(areas)]
    return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True, slots=True)
class PatientAnswers:
    """What was said of each of p patients."""

    patients: NDArray[np.str_]
    """(p,), sorted."""
    labels: NDArray[np.int64]
    """(p,): the class of most of the patient's patches, the first of these where several are equally many."""
    probabilities: NDArray[np.float64]
    """(p, k): the mean over the patient's patches."""
    right: NDArray[np.float64]
    """(p,): share of the patient's patches whose class was recognised."""
    patches: NDArray[np.int64]
    """(p,): how many there are."""

    @property
    def score(self) -> float:
        """The mean over patients of the share of each one's patches that were recognised: every patient counts alike.

        Spanhol et al. 2016, "A dataset for breast cancer histopathological image classification".
        """
        return float(self.right.mean())


def by_patient(labels: Labels, probabilities: Floats, patients: NDArray[np.str_]) -> PatientAnswers:
    """Return the answers patient by patient, of patches (n,) with probabilities (n, k)."""
    names, whose = np.unique(patients, return_inverse=True)
    classes = probabilities.shape[1]
    patches = np.bincount(whose)
    truth = np.bincount(whose * classes + labels, minlength=len(names) * classes).reshape(-1, classes)
    sums = [np.bincount(whose, weights=probabilities[:, one]) for one in range(classes)]
    right = np.bincount(whose, weights=probabilities.argmax(1) == labels)
    means = np.stack(sums, axis=1) / patches[:, None]
    return PatientAnswers(names, truth.argmax(1), means, right / patches, patches)
