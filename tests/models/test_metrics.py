from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.metrics import (
    auc,
    balanced_accuracy,
    bootstrap_interval,
    class_averages,
    confusion,
    expected_calibration_error,
    mean_and_deviation,
    over_images,
    paired_bootstrap,
)


@pytest.mark.parametrize(
    ("rows", "accuracy", "recall"),
    [
        ([[0, 3], [1, 4]], 0.5, (0 + 4 / 5) / 2),
        ([[90, 10], [5, 45]], 0.9, (0.9 + 0.9) / 2),
    ],
)
def test_balanced_accuracy_is_the_mean_recall(rows: list[list[int]], accuracy: float, recall: float) -> None:
    counts = np.array(rows)
    labels, predicted = (np.repeat(indices, counts.ravel()) for indices in np.indices(counts.shape).reshape(2, -1))
    assert np.array_equal(confusion(labels, predicted, 2), counts)
    assert (labels == predicted).mean() == pytest.approx(accuracy)
    assert balanced_accuracy(counts) == pytest.approx(recall)


@pytest.mark.parametrize(
    ("rows", "percent"),
    [
        # Tables 2 and 3 of a published study of mammograms, whose own averages do not follow from them.
        ([[325, 10, 12], [12, 410, 12], [7, 4, 408]], (95.25, 95.21, 95.17, 95.17, 97.62)),
        ([[330, 15, 10], [10, 410, 10], [5, 5, 410]], (95.44, 95.45, 95.31, 95.37, 97.70)),
    ],
)
def test_averages_over_classes_follow_from_the_confusion_matrix(
    rows: list[list[int]], percent: tuple[float, ...]
) -> None:
    averages = class_averages(np.array(rows))
    found = [averages[name] * 100 for name in ("accuracy", "precision", "recall", "f1", "specificity")]
    assert found == pytest.approx(percent, abs=0.005)
    assert averages["recall"] == pytest.approx(balanced_accuracy(np.array(rows)))


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 9)))
def test_averages_over_classes_are_their_definitions(counts: NDArray[np.int64]) -> None:
    if not counts.sum():
        return
    total, precision, recall, f1, specificity = counts.sum(), [], [], [], []
    for one in range(3):
        tp = counts[one, one]
        fp, fn = counts[:, one].sum() - tp, counts[one].sum() - tp
        tn = total - tp - fp - fn
        precision.append(tp / (tp + fp) if tp + fp else 0)
        recall.append(tp / (tp + fn) if tp + fn else 0)
        f1.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0)
        specificity.append(tn / (tn + fp) if tn + fp else 0)
    averages = class_averages(counts)
    found = [averages[name] for name in ("precision", "recall", "f1", "specificity")]
    assert found == pytest.approx([np.mean(one) for one in (precision, recall, f1, specificity)])


def test_kappa_is_nil_by_chance_and_one_without_error() -> None:
    assert class_averages(np.array([[40, 10], [40, 10]]))["kappa"] == pytest.approx(0)
    assert class_averages(np.diag([3, 4, 5]))["kappa"] == pytest.approx(1)
    assert class_averages(np.array([[20, 5], [10, 15]]))["kappa"] == pytest.approx(0.4)


@given(arrays(np.int64, 20, elements=st.integers(0, 1)), arrays(np.float64, 20, elements=st.integers(0, 5)))
def test_auc_is_the_chance_that_a_positive_scores_higher(
    labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> None:
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    if pairs:
        assert auc(labels, scores) == pytest.approx(np.mean(pairs))
    else:
        assert math.isnan(auc(labels, scores))


def test_calibration_error_is_nil_when_confidence_is_accuracy() -> None:
    probabilities = np.tile([0.25, 0.75], (1000, 1))
    labels = np.array([1] * 750 + [0] * 250)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0)
    assert expected_calibration_error(1 - labels, probabilities) == pytest.approx(0.5)


def test_calibration_error_weighs_the_bins_by_their_share() -> None:
    probabilities = np.array([[0.0, 1.0]] * 3 + [[0.4, 0.6]])
    labels = np.array([1, 1, 0, 1])
    assert expected_calibration_error(labels, probabilities) == pytest.approx(3 / 4 * (1 - 2 / 3) + 1 / 4 * 0.4)


def test_the_bootstrap_draws_whole_patients() -> None:
    patients = np.array(["a"] * 99 + ["b"])
    values = np.array([0.0] * 99 + [1.0])
    # Drawing patches would give about 1 %; two patients give all a, all b, or both.
    low, high = bootstrap_interval(patients, lambda sample: float(values[sample].mean()), draws=200)
    assert (low, high) == (0.0, 1.0)


def test_the_paired_bootstrap_draws_whole_patients_and_averages_images() -> None:
    low, high = paired_bootstrap({"a": [0.0] * 3, "b": [1.0]})
    assert (low, high) == (0.0, 1.0)
    low, high = paired_bootstrap({f"p{place}": [2.0, 3.0] for place in range(5)})
    assert low == high == 2.5


def test_the_paired_interval_is_that_of_resampled_means() -> None:
    values = np.random.default_rng(1).normal(1, 2, 60)
    low, high = paired_bootstrap({str(place): [value] for place, value in enumerate(values)}, draws=4000)
    error = 1.96 * values.std() / math.sqrt(60)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.08)


def test_one_patient_says_nothing_about_others() -> None:
    assert all(math.isnan(bound) for bound in paired_bootstrap({"a": [1.0, 2.0, 3.0]}))
    assert all(math.isnan(bound) for bound in paired_bootstrap({}))


def test_a_figure_is_averaged_over_the_images_that_have_it() -> None:
    rows = [{"dice": 0.5}, {"dice": 0.7, "aji": 0.4}]
    assert over_images(rows) == {
        "dice": {"mean": pytest.approx(0.6), "sd": pytest.approx(math.sqrt(0.02))},
        "aji": {"mean": 0.4, "sd": 0.0},
    }


def test_infinite_figures_stay_out_of_the_mean() -> None:
    assert mean_and_deviation([1.0, 3.0, math.inf]) == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2))}
    assert mean_and_deviation([5.0])["sd"] == 0
