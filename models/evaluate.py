"""What a bundle is worth on images it has not seen: the figures of a card, beside the trivial answer's.

A network comes in as a callable on numpy arrays, as `models.predict` makes them, so the same protocol measures a
network in training, a bundle, and anybody else's method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data_nuclei import LabelledImage
from models.data_super_resolution import Pair, enlarge_bicubic
from models.metrics import (
    aji,
    auc,
    balanced_accuracy,
    bootstrap_interval,
    confusion,
    dice,
    expected_calibration_error,
    luma,
    mean_and_deviation,
    panoptic_quality,
    psnr,
    ssim,
)

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]
Figures = dict[str, Any]

SUPER_RESOLUTION_PROTOCOL = (
    "Whole images, reduced by antialiased bicubic (Pillow) and rounded to 8 bits; output rounded to 8 bits; {border} "
    "px cut from every side; PSNR over RGB and over Y (BT.601, 16-235), SSIM with an 11 x 11 Gaussian of 1.5 px on "
    "0-255; mean and standard deviation over images; float32"
)
NUCLEI_PROTOCOL = (
    "Whole images; instances by models.instances with the card's parameters; Dice, AJI and PQ (IoU > 0.5) an image; "
    "mean and standard deviation over images; float32"
)
CLASSIFICATION_PROTOCOL = (
    "Patches of patients that neither training nor choosing saw; the class is the more probable one; 95 % intervals "
    "from 1,000 bootstrap samples of whole patients; ECE over 15 bins at the test set's own prevalence; float32"
)


def evaluate_super_resolution(
    pairs: Iterable[Pair], enlarge: Callable[[Pixels], Pixels], scale: int
) -> tuple[Figures, Figures]:
    """Return the figures of `enlarge`, (y, x, 3) to (scale y, scale x, 3), and those of bicubic interpolation."""
    pairs = list(pairs)
    rows = [
        [_likeness(pair.high, larger(pair.low), border_px=scale) for pair in pairs]
        for larger in (enlarge, lambda low: enlarge_bicubic(low, scale))
    ]
    network, bicubic = (_over_images(one) for one in rows)
    network["images"] = len(pairs)
    network["psnr_rgb_gain"] = mean_and_deviation(
        [one["psnr_rgb"] - other["psnr_rgb"] for one, other in zip(*rows, strict=True)]
    )
    return network, bicubic


def _likeness(truth: Pixels, drawn: Pixels, border_px: int) -> dict[str, float]:
    truth, drawn = (one[border_px:-border_px, border_px:-border_px] for one in (truth, drawn))
    truth_y, drawn_y = luma(truth), luma(drawn)
    return {
        "psnr_rgb": psnr(truth, drawn),
        "psnr_y": psnr(truth_y, drawn_y),
        "ssim_rgb": ssim(truth, drawn),
        "ssim_y": ssim(truth_y, drawn_y),
    }


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
        found = instances(predict(one.image))
        rows.append(_instance_figures(one, found))
        nothing.append(_instance_figures(one, np.zeros_like(found)))
    return _over_images(rows) | {"images": len(rows)}, _over_images(nothing)


def _instance_figures(one: LabelledImage, found: NDArray[np.int32]) -> dict[str, float]:
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
    return {
        "balanced_accuracy": accuracy(everything),
        "balanced_accuracy_95": bootstrap_interval(patients, accuracy),
        "accuracy": float(np.diag(counts).sum() / counts.sum()),
        "auc": area(everything),
        "auc_95": bootstrap_interval(patients, area),
        "ece": expected_calibration_error(labels, probabilities),
        "confusion": counts.tolist(),
        "patches": len(labels),
        "patients": len(np.unique(patients)),
    }


def _over_images(rows: Sequence[dict[str, float]]) -> Figures:
    return {name: mean_and_deviation([row[name] for row in rows]) for name in rows[0]} if rows else {}
