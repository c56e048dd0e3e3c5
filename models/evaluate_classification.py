"""What a classifier's probabilities are worth on patches of patients it has not seen, beside the commonest class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics import (
    auc,
    balanced_accuracy,
    bootstrap_interval,
    class_averages,
    confusion,
    expected_calibration_error,
)

Probabilities = NDArray[np.float32]
Figures = dict[str, Any]

CLASSIFICATION_MEASURES = (
    "the class is the most probable one; precision, F1 and specificity are plain means over classes, AUC is that of "
    "the last class against the rest; 95 % intervals from 1,000 bootstrap samples of whole patients; ECE over 15 bins "
    "at the test set's own prevalence; float32"
)
CLASSIFICATION_PROTOCOL = f"Patches of patients that neither training nor choosing saw; {CLASSIFICATION_MEASURES}"


def evaluate_classification(
    labels: NDArray[np.int64], probabilities: Probabilities, patients: NDArray[np.str_]
) -> tuple[Figures, Figures]:
    """Return the figures of probabilities (n, k), and those of always saying the commonest class.

    AUC is that of the last class against the rest.
    """
    classes = probabilities.shape[1]
    commonest = np.eye(classes, dtype=np.float32)[np.full(len(labels), np.bincount(labels).argmax())]
    return tuple(_class_figures(labels, one, patients) for one in (probabilities, commonest))  # type: ignore[return-value]


def _class_figures(labels: NDArray[np.int64], probabilities: Probabilities, patients: NDArray[np.str_]) -> Figures:
    classes = probabilities.shape[1]
    positive = labels == classes - 1

    def accuracy(sample: NDArray[np.int64]) -> float:
        return balanced_accuracy(confusion(labels[sample], probabilities[sample].argmax(1), classes))

    def area(sample: NDArray[np.int64]) -> float:
        return auc(positive[sample].astype(np.int64), probabilities[sample, -1])

    everything = np.arange(len(labels))
    counts = confusion(labels, probabilities.argmax(1), classes)
    averages = class_averages(counts)
    return {
        "balanced_accuracy": accuracy(everything),
        "balanced_accuracy_95": bootstrap_interval(patients, accuracy),
        **{name: averages[name] for name in ("accuracy", "kappa", "precision", "f1", "specificity")},
        "auc": area(everything),
        "auc_95": bootstrap_interval(patients, area),
        "ece": expected_calibration_error(labels, probabilities),
        "confusion": counts.tolist(),
        "patches": len(labels),
        "patients": len(np.unique(patients)),
    }
