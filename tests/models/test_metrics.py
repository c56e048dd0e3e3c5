from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

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


@given(arrays(np.uint8, (12, 12, 3)), arrays(np.uint8, (12, 12, 3)))
def test_psnr_is_that_of_scikit_image(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    if np.array_equal(one, other):
        assert psnr(one, other) == math.inf
    else:
        assert psnr(one, other) == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255))


def test_psnr_of_a_difference_of_one_grey_level() -> None:
    assert psnr(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)) == pytest.approx(48.1308, abs=1e-4)


def test_ssim_is_its_formula_with_valid_gaussian_windows() -> None:
    rng = np.random.default_rng(0)
    one = ndimage.gaussian_filter(rng.uniform(0, 255, (40, 44)), 2)
    other = one + rng.normal(0, 4, one.shape)
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    views = [np.lib.stride_tricks.sliding_window_view(image, (11, 11)) for image in (one, other)]
    m1, m2 = ((view * window).sum((-1, -2)) for view in views)
    v1, v2 = ((view**2 * window).sum((-1, -2)) - m**2 for view, m in zip(views, (m1, m2), strict=True))
    shared = (views[0] * views[1] * window).sum((-1, -2)) - m1 * m2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    wanted = ((2 * m1 * m2 + c1) * (2 * shared + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))).mean()
    assert ssim(one, other) == pytest.approx(wanted, abs=1e-9)


def test_luma_spans_16_to_235_and_ranks_green_first() -> None:
    black, white, green, red = (np.array([[rgb]], np.uint8) for rgb in ((0,) * 3, (255,) * 3, (0, 255, 0), (255, 0, 0)))
    assert luma(black)[0, 0] == 16
    assert luma(white)[0, 0] == pytest.approx(235)
    assert luma(green)[0, 0] > luma(red)[0, 0]


@pytest.mark.parametrize(
    ("rows", "accuracy", "recall"),
    [
        # The confusion matrices of a published study of mammograms, whose own averages do not follow from them.
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


def test_infinite_figures_stay_out_of_the_mean() -> None:
    assert mean_and_deviation([1.0, 3.0, math.inf]) == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2))}
    assert mean_and_deviation([5.0])["sd"] == 0
