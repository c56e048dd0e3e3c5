from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.metrics import (
    aji,
    auc,
    balanced_accuracy,
    bootstrap_interval,
    class_averages,
    confusion,
    dice,
    expected_calibration_error,
    mean_and_deviation,
    over_images,
    paired_bootstrap,
    panoptic_quality,
)

label_images = arrays(np.int32, (8, 9), elements=st.integers(0, 4))


def naive_aji(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    """The definition, instance by instance with masks."""
    used, shared, union = set(), 0, 0
    for one in np.unique(truth[truth > 0]):
        mask = truth == one
        candidates = [(float((mask & (found == other)).sum() / (mask | (found == other)).sum()), -int(other))
                      for other in np.unique(found[mask]) if other > 0]  # fmt: skip
        if not candidates:
            union += int(mask.sum())
            continue
        best = -max(candidates)[1]
        used.add(best)
        shared += int((mask & (found == best)).sum())
        union += int((mask | (found == best)).sum())
    union += sum(int((found == other).sum()) for other in np.unique(found[found > 0]) if other not in used)
    return shared / union if union else 1.0


def naive_panoptic(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    trues, founds = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    if not len(trues) + len(founds):
        return 1.0
    ious = [((truth == t) & (found == f)).sum() / ((truth == t) | (found == f)).sum() for t in trues for f in founds]
    matched = [iou for iou in ious if iou > 0.5]
    return float(sum(matched) / (len(matched) + (len(trues) + len(founds) - 2 * len(matched)) / 2))


@settings(max_examples=60)
@given(label_images, label_images)
def test_aji_is_its_definition(truth: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    assert aji(truth, found) == pytest.approx(naive_aji(truth, found))


@settings(max_examples=60)
@given(label_images, label_images)
def test_panoptic_quality_is_its_definition(truth: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    quality = panoptic_quality(truth, found)
    assert quality.pq == pytest.approx(naive_panoptic(truth, found))
    assert quality.pq == pytest.approx(quality.dq * quality.sq)


@given(label_images)
def test_instances_equal_themselves_whatever_their_numbers(truth: NDArray[np.int32]) -> None:
    renumbered = np.array([0, 70_000, 12, 3, 999])[truth]
    assert aji(truth, renumbered) == 1
    assert panoptic_quality(truth, renumbered).pq == 1


def test_merging_two_nuclei_costs_aji_and_detections_but_no_dice() -> None:
    truth = np.zeros((10, 20), dtype=np.int32)
    truth[2:8, 2:10], truth[2:8, 10:18] = 1, 2
    merged = (truth > 0).astype(np.int32)
    assert dice(truth > 0, merged > 0) == 1
    assert aji(truth, merged) == pytest.approx((48 + 48) / (96 + 96))
    assert panoptic_quality(truth, merged).matched == 0


def test_finding_nothing_is_worth_nothing() -> None:
    truth = np.eye(5, dtype=np.int32)
    nothing = np.zeros_like(truth)
    assert aji(truth, nothing) == dice(truth > 0, nothing > 0) == panoptic_quality(truth, nothing).pq == 0
    assert aji(nothing, nothing) == dice(nothing > 0, nothing > 0) == panoptic_quality(nothing, nothing).pq == 1


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
