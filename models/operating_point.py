"""From which probability on a patch is the second of two classes: chosen on validation patients, judged on others.

Calibrated probabilities say how likely a class is; where the line is drawn is another question. At 0.5 the rarer class
is missed more often than the commoner one is taken for it; the line of highest balanced accuracy treats both alike.

A few validation patients place that line badly: on IDC, 25 of them put it at 0.29, which costs other patients 0.026 of
balanced accuracy against 0.5. So of the lines that are as good as the best one, to within the standard error over
patients, the nearest to 0.5 is taken (the rule of one standard error, Breiman et al. 1984).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics import balanced_accuracy, bootstrap_interval, confusion
from models.metrics_classes import one_vs_rest

Labels = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]

EVEN = 0.5
PROTOCOL = (
    "of the lines whose balanced accuracy on the validation patients is the highest to within one standard error, the "
    "nearest to 0.5; figures of the test patients"
)


def choose_operating_point(labels: Labels, second: Floats, patients: NDArray[np.str_]) -> float:
    """Return from which probability of the second class (n,) on to call patches so; 0.5 where it is as good as any.

    Others lie midway between two probabilities that occur. It is 0.5, too, where the labels (n,) are all of one class,
    or the patients are too few for an error.
    """
    truth = labels == 1
    if truth.all() or not truth.any():
        return EVEN
    lines, scores = _scores(truth, second)
    error = _standard_error(lines[scores.argmax()], labels, second, patients)
    if not math.isfinite(error) or _score_at(EVEN, labels, second) >= scores.max() - error:
        return EVEN
    good = lines[scores >= scores.max() - error]
    return float(good[np.abs(good - EVEN).argmin()])


def _scores(truth: NDArray[np.bool_], second: Floats) -> tuple[Floats, Floats]:
    """Return all lines that part patches differently, one below each probability, and their balanced accuracies."""
    values, place = np.unique(second.astype(np.float64), return_inverse=True)
    counts = np.bincount(place, truth, len(values)), np.bincount(place, ~truth, len(values))
    right, wrong = (np.cumsum(one[::-1])[::-1] for one in counts)  # all from the line on are called the second class
    scores = (right / truth.sum() + 1 - wrong / (~truth).sum()) / 2
    return (values + np.concatenate([[0.0], values[:-1]])) / 2, scores


def _score_at(line: float, labels: Labels, second: Floats) -> float:
    return balanced_accuracy(confusion(labels, (second >= line).astype(np.int64), 2))


def _standard_error(line: float, labels: Labels, second: Floats, patients: NDArray[np.str_]) -> float:
    """Return that of the balanced accuracy over patients: a quarter of its bootstrap's 95 % interval."""
    low, high = bootstrap_interval(patients, lambda sample: _score_at(line, labels[sample], second[sample]))
    return (high - low) / 4


def figures_at(point: float, labels: Labels, second: Floats, patients: NDArray[np.str_]) -> dict[str, Any]:
    """Return what calling patches (n,) the second class from `point` on is worth, by patches."""
    counts = confusion(labels, (second >= point).astype(np.int64), 2)
    of_second = {name: float(column[1]) for name, column in one_vs_rest(counts).items()}
    return {
        "probability": point,
        "protocol": PROTOCOL,
        "balanced_accuracy": balanced_accuracy(counts),
        "balanced_accuracy_95": bootstrap_interval(
            patients, lambda sample: _score_at(point, labels[sample], second[sample])
        ),
        **{name: of_second[name] for name in ("recall", "specificity", "precision")},
    }
