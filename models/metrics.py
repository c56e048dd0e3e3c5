"""Confusion, ranking and calibration of a classifier, and how sure one can be of a mean. Functions of numpy arrays, a
formula each; those of single classes and of patients are in `models.metrics_classes`, those of images in
`models.metrics_image`, those of instances in `models.metrics_instances`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]
Floats = NDArray[np.floating]


def confusion(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) counts: rows are the truth, columns what was predicted."""
    joint = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(joint, minlength=classes**2).reshape(classes, classes)


def balanced_accuracy(counts: NDArray[np.int64]) -> float:
    """Return the mean over classes of the share of each that was recognised; classes without examples do not count."""
    totals = counts.sum(1)
    return float((np.diag(counts)[totals > 0] / totals[totals > 0]).mean())


def auc(labels: Labels | NDArray[np.bool_], scores: Floats) -> float:
    """Return the area under the ROC curve of (n,) scores for label 1 against 0; NaN where a class is absent.

    The chance that a positive scores above a negative, ties half: (rank sum - n+ (n+ + 1) / 2) / (n+ n-), Mann-Whitney.
    """
    positive = labels.astype(bool)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return math.nan
    _, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def expected_calibration_error(labels: Labels, probabilities: Floats, bins: int = 15) -> float:
    """Return the expected calibration error of (n, k) probabilities: how far confidence is from accuracy.

    Guo et al. 2017: over equal bins of the highest probability, sum of (share of the bin) |accuracy - confidence|.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())


def bootstrap_interval(
    patients: NDArray[np.str_],
    figure: Callable[[NDArray[np.int64]], float],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of a figure over bootstrap samples of whole patients.

    `figure` gets the indices of a sample; patches of one patient resemble each other, so patients are what is drawn.
    Samples whose figure is NaN (a class is absent) are left out. NaN for fewer than two patients, from whom nothing can
    be said about others, and where no sample has the figure.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    if len(groups) < 2:
        return math.nan, math.nan
    figures = []
    for _ in range(draws):
        sample = rng.integers(len(groups), size=len(groups))
        figures.append(figure(np.concatenate([groups[place] for place in sample])))
    if np.isnan(figures).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(figures, (2.5, 97.5))
    return float(low), float(high)


def paired_bootstrap(
    differences: Mapping[str, Sequence[float]], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference over bootstrap samples of whole patients.

    `differences` holds, for every patient, the differences between two methods on each of the patient's images; the
    mean is over images. NaN for fewer than two patients, from whom nothing can be said about others.
    """
    patients = np.repeat(list(differences), [len(values) for values in differences.values()])
    if len(np.unique(patients)) < 2:
        return math.nan, math.nan
    values = np.concatenate([np.asarray(of_one, dtype=np.float64) for of_one in differences.values()])
    return bootstrap_interval(patients, lambda sample: float(values[sample].mean()), draws=draws, seed=seed)


def mean_and_deviation(values: Sequence[float]) -> dict[str, float]:
    """Return the mean and the sample standard deviation (0 for one value) of the finite values; NaN without any."""
    finite = np.asarray([value for value in values if math.isfinite(value)])
    if not len(finite):
        return {"mean": math.nan, "sd": math.nan}
    deviation = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
    return {"mean": float(finite.mean()), "sd": deviation}


def over_images(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean and deviation of each figure over the images that have it, a row an image."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: mean_and_deviation([row[name] for row in rows if name in row]) for name in names}
