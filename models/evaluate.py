"""What a nuclei network or a classifier is worth on images it has not seen, beside the trivial answer.

A network comes in as a callable on numpy arrays, as `models.predict` makes them, so the same protocol measures a
network in training, a bundle, and anybody else's method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data_nuclei import LabelledImage
from models.metrics import (
    aji,
    auc,
    balanced_accuracy,
    bootstrap_interval,
    class_averages,
    confusion,
    dice,
    expected_calibration_error,
    over_images,
    panoptic_quality,
)

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]
Row = dict[str, float]
Figures = dict[str, Any]

NUCLEI_PROTOCOL = (
    "Whole images; instances by models.instances with the card's parameters; Dice, AJI and PQ (IoU > 0.5) an image; "
    "mean and standard deviation over images; float32"
)
CLASSIFICATION_MEASURES = (
    "the class is the most probable one; precision, F1 and specificity are plain means over classes, AUC is that of "
    "the last class against the rest; 95 % intervals from 1,000 bootstrap samples of whole patients; ECE over 15 bins "
    "at the test set's own prevalence; float32"
)
CLASSIFICATION_PROTOCOL = f"Patches of patients that neither training nor choosing saw; {CLASSIFICATION_MEASURES}"


def evaluate_nuclei(
    images: Iterable[LabelledImage],
    predict: Callable[[Pixels], Probabilities],
    instances: Callable[[Probabilities], NDArray[np.int32]],
) -> tuple[Figures, Figures]:
    """Return the figures of a network, (y, x, 3) to (y, x, 3), with an instance step, and those of finding nothing.

    Images that come with masks only are judged by Dice.
    """
    rows, nothing = [], []
    for one in images:
        rows.append(judge_instances(one, instances(predict(one.image))))
        nothing.append(judge_nothing(one))
    return over_images(rows) | {"images": len(rows)}, over_images(nothing)


def judge_nothing(one: LabelledImage) -> Row:
    """Return the figures of finding no nucleus on an image."""
    return judge_instances(one, np.zeros_like(one.labels))


def judge_instances(one: LabelledImage, found: NDArray[np.int32]) -> Row:
    """Return the figures of instances (y, x) that were found on an image."""
    figures = {"dice": dice(one.labels > 0, found > 0)}
    if not one.instances:
        return figures
    quality = panoptic_quality(one.labels, found)
    count = len(np.unique(one.labels[one.labels > 0]))
    error = len(np.unique(found[found > 0])) - count
    return figures | {
        "aji": aji(one.labels, found),
        "pq": quality.pq,
        "dq": quality.dq,
        "sq": quality.sq,
        "relative_count_error": error / max(count, 1),
    }


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
