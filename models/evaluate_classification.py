"""What a classifier's probabilities are worth on patches of patients it has not seen, beside the commonest class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics import balanced_accuracy, bootstrap_interval, confusion, expected_calibration_error
from models.metrics_classes import by_patient, class_aucs, class_averages, macro_auc, one_vs_rest

Probabilities = NDArray[np.float32] | NDArray[np.float64]
Labels = NDArray[np.int64]
Figures = dict[str, Any]

AVERAGED = ("accuracy", "kappa", "precision", "recall", "f1", "specificity")

CLASSIFICATION_MEASURES = (
    "the class is the most probable one; precision, recall, F1 and specificity are plain means over classes, AUC is "
    "that of the second of two classes, else the mean of each against the rest; a patient's probabilities are the mean "
    "over the patches, its class that of most of them, and patient_score is the mean over patients of the share of "
    "patches recognised (Spanhol et al. 2016); 95 % intervals from 1,000 bootstrap samples of whole patients; ECE over "
    "15 bins at the test set's own prevalence; float32"
)
CLASSIFICATION_PROTOCOL = f"Patches of patients that neither training nor choosing saw; {CLASSIFICATION_MEASURES}"


def evaluate_classification(
    labels: Labels, probabilities: Probabilities, patients: NDArray[np.str_]
) -> tuple[Figures, Figures]:
    """Return the figures of probabilities (n, k), and those of always saying the commonest class.

    Figures over patches have plain names, those over patients begin with `patient_`; `<figure>_95` is an interval.
    """
    said = commonest(labels, probabilities.shape[1])
    return judge_classes(labels, probabilities, patients), judge_classes(labels, said, patients)


def judge_classes(labels: Labels, probabilities: Probabilities, patients: NDArray[np.str_]) -> Figures:
    """Return the figures of probabilities (n, k) over patches and over patients, with intervals."""
    return _patch_figures(labels, probabilities, patients) | _patient_figures(labels, probabilities, patients)


def commonest(labels: Labels, classes: int) -> NDArray[np.float32]:
    """Return the probabilities (n, classes) of who always says the commonest class."""
    said = np.full(len(labels), np.bincount(labels, minlength=classes).argmax())
    return np.eye(classes, dtype=np.float32)[said]


def figures(labels: Labels, probabilities: Probabilities) -> Figures:
    """Return the figures of probabilities (n, k), without intervals."""
    counts = _confusion(labels, probabilities)
    averages = class_averages(counts)
    return {
        "balanced_accuracy": balanced_accuracy(counts),
        **{name: averages[name] for name in AVERAGED},
        "auc": macro_auc(labels, probabilities),
        "ece": expected_calibration_error(labels, probabilities),
        "confusion": counts.tolist(),
    }


def _patch_figures(labels: Labels, probabilities: Probabilities, patients: NDArray[np.str_]) -> Figures:
    """Return the figures of probabilities (n, k), with the 95 % intervals of the two that are compared by."""
    found = figures(labels, probabilities)
    return {
        "balanced_accuracy": found.pop("balanced_accuracy"),
        "balanced_accuracy_95": _interval(balanced_accuracy_of, labels, probabilities, patients),
        **found,
        "auc_95": _interval(macro_auc, labels, probabilities, patients),
        "patches": len(labels),
        "patients": len(np.unique(patients)),
    }


def _patient_figures(labels: Labels, probabilities: Probabilities, patients: NDArray[np.str_]) -> Figures:
    """Return the figures over patients, their names beginning with `patient_`."""
    one = by_patient(labels, probabilities, patients)
    right = one.probabilities.argmax(1) == one.labels
    found = figures(one.labels, one.probabilities)
    return {
        "patient_score": one.score,
        "patient_score_95": bootstrap_interval(one.patients, lambda sample: float(one.right[sample].mean())),
        **{f"patient_{name}": found[name] for name in ("accuracy", "balanced_accuracy", "auc", "f1", "kappa")},
        "patient_accuracy_95": bootstrap_interval(one.patients, lambda sample: float(right[sample].mean())),
        "patient_balanced_accuracy_95": _interval(balanced_accuracy_of, one.labels, one.probabilities, one.patients),
        "patient_auc_95": _interval(macro_auc, one.labels, one.probabilities, one.patients),
        "patient_confusion": found["confusion"],
    }


def evaluate_classes(labels: Labels, probabilities: Probabilities, classes: Sequence[str]) -> dict[str, Figures]:
    """Return the figures of each class against the rest, over patches: by the class's name."""
    columns = {
        **one_vs_rest(_confusion(labels, probabilities)),
        "auc": class_aucs(labels, probabilities),
    }
    totals = np.bincount(labels, minlength=len(classes))
    return {
        name: {figure: float(column[place]) for figure, column in columns.items()} | {"patches": int(totals[place])}
        for place, name in enumerate(classes)
    }


def _confusion(labels: Labels, probabilities: Probabilities) -> NDArray[np.int64]:
    return confusion(labels, probabilities.argmax(1), probabilities.shape[1])


def balanced_accuracy_of(labels: Labels, probabilities: Probabilities) -> float:
    """Return the balanced accuracy of probabilities (n, k)."""
    return balanced_accuracy(_confusion(labels, probabilities))


def _interval(
    figure: Callable[[Labels, Probabilities], float],
    labels: Labels,
    probabilities: Probabilities,
    patients: NDArray[np.str_],
) -> tuple[float, float]:
    return bootstrap_interval(patients, lambda sample: figure(labels[sample], probabilities[sample]))
