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


def test_one_patient_gives_no_interval_and_neither_does_a_figure_that_never_is() -> None:
    for patients in (np.array(["a", "a"]), np.array(["a", "b"])):
        interval = bootstrap_interval(patients, lambda sample: math.nan, draws=5)
        assert all(math.isnan(bound) for bound in interval)
    assert math.isnan(bootstrap_interval(np.array(["a", "a"]), lambda sample: 1.0)[0])


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
