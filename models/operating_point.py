"""From which probability on a patch is the second of two classes: chosen on validation patients, judged on others.

Calibrated probabilities say how likely a class is; where the line is drawn is another question. At 0.5 the rarer class
is missed more often than the commoner one is taken for it; the line of highest balanced accuracy treats both alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics import balanced_accuracy, bootstrap_interval, confusion
from models.metrics_classes import one_vs_rest

Labels = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]

EVEN = 0.5
PROTOCOL = "chosen for the highest balanced accuracy on the validation patients; figures of the test patients"


def choose_operating_point(labels: Labels, second: Floats) -> float:
    """Return the probability of the second class (n,) from which on calling it so gives the highest balanced accuracy.

    It lies midway between two probabilities that occur; of equally good ones it is the nearest to 0.5, which it also is
    where the labels (n,) are all of one class.
    """
    truth = labels == 1
    if truth.all() or not truth.any():
        return EVEN
    values, place = np.unique(second.astype(np.float64), return_inverse=True)
    called = np.bincount(place, truth, len(values)), np.bincount(place, ~truth, len(values))
    # with the line below value i, all from i on are called the second class
    right_second, wrong_first = (np.cumsum(counts[::-1])[::-1] for counts in called)
    score = right_second / truth.sum() - wrong_first / (~truth).sum()
    best = np.flatnonzero(score >= score.max() - 1e-12)
    lines = (values[best] + np.where(best > 0, values[best - 1], 0)) / 2
    return float(lines[np.abs(lines - EVEN).argmin()])


def figures_at(point: float, labels: Labels, second: Floats, patients: NDArray[np.str_]) -> dict[str, Any]:
    """Return what calling patches (n,) the second class from `point` on is worth, by patches."""
    said = (second >= point).astype(np.int64)
    counts = confusion(labels, said, 2)
    of_second = {name: float(column[1]) for name, column in one_vs_rest(counts).items()}
    return {
        "probability": point,
        "protocol": PROTOCOL,
        "balanced_accuracy": balanced_accuracy(counts),
        "balanced_accuracy_95": bootstrap_interval(
            patients, lambda sample: balanced_accuracy(confusion(labels[sample], said[sample], 2))
        ),
        **{name: of_second[name] for name in ("recall", "specificity", "precision")},
    }
