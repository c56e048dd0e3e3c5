from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.metrics import balanced_accuracy, expected_calibration_error
from models.metrics_classes import by_patient, class_aucs, class_averages, macro_auc, one_vs_rest

# Tables 2 (MIAS) and 3 (DDSM) of the published study of mammograms whose own averages do not follow from them. The
# margins are the only ones that give its precisions and recalls, to the digit, with its totals (`derive` finds them);
# of the errors off the diagonal one number is then free, which no figure depends on.
MAMMOGRAMS = {
    "MIAS": np.array([[325, 10, 12], [12, 410, 12], [7, 4, 408]]),
    "DDSM": np.array([[330, 15, 10], [10, 410, 10], [5, 5, 410]]),
}
PRECISION = {"MIAS": (94.48, 96.70, 94.44), "DDSM": (95.65, 95.35, 95.35)}
RECALL = {"MIAS": (93.66, 94.47, 97.37), "DDSM": (92.96, 95.35, 97.62)}
TOTALS = {"MIAS": (1200, 1143), "DDSM": (1205, 1150)}
AVERAGES = {"MIAS": (95.25, 95.21, 95.17, 95.17, 97.62), "DDSM": (95.44, 95.45, 95.31, 95.37, 97.70)}
ACCURACIES = {"MIAS": (96.58, 96.83, 97.08), "DDSM": (96.68, 96.68, 97.51)}
KAPPA = {"MIAS": 0.928, "DDSM": 0.931}

Triple = tuple[int, int, int]


def fitting(precision: float, recall: float, total: int) -> set[Triple]:
    """Hits, truths and predictions of one class that have this precision and recall in percent, to two digits."""
    rows = [(round(recall * true / 100), true) for true in range(1, total)]
    rows = [(hits, true) for hits, true in rows if round(100 * hits / true, 2) == recall]
    columns = [(round(precision * said / 100), said) for said in range(1, total)]
    columns = [(hits, said) for hits, said in columns if round(100 * hits / said, 2) == precision]
    return {(hits, true, said) for hits, true in rows for same, said in columns if hits == same}


def derive(precision: tuple[float, ...], recall: tuple[float, ...], total: int, hits: int) -> list[list[Triple]]:
    """All sets of three classes' hits, truths and predictions that have these figures and totals."""
    first, second, third = (fitting(*figures, total) for figures in zip(precision, recall, strict=True))
    found = []
    for one, other in itertools.product(first, second):
        rest = (hits - one[0] - other[0], total - one[1] - other[1], total - one[2] - other[2])
        if rest in third:
            found.append([one, other, rest])
    return found


@pytest.mark.parametrize("name", MAMMOGRAMS)
def test_the_published_precisions_and_recalls_leave_one_matrix_only(name: str) -> None:
    counts = MAMMOGRAMS[name]
    margins = list(zip(np.diag(counts).tolist(), counts.sum(1).tolist(), counts.sum(0).tolist(), strict=True))
    assert derive(PRECISION[name], RECALL[name], *TOTALS[name]) == [margins]


@pytest.mark.parametrize("name", MAMMOGRAMS)
def test_the_figures_of_published_matrices_are_the_recomputed_ones(name: str) -> None:
    counts = MAMMOGRAMS[name]
    averages, each = class_averages(counts), one_vs_rest(counts)
    found = [averages[figure] * 100 for figure in ("accuracy", "precision", "recall", "f1", "specificity")]
    assert found == pytest.approx(AVERAGES[name], abs=0.005)
    assert averages["recall"] == pytest.approx(balanced_accuracy(counts))
    assert averages["kappa"] == pytest.approx(KAPPA[name], abs=0.0005)
    assert each["precision"] * 100 == pytest.approx(PRECISION[name], abs=0.005)
    assert each["recall"] * 100 == pytest.approx(RECALL[name], abs=0.005)
    assert each["accuracy"] * 100 == pytest.approx(ACCURACIES[name], abs=0.005)


def test_what_a_study_called_accuracy_is_that_of_one_class_against_the_rest() -> None:
    each, stated = one_vs_rest(MAMMOGRAMS["MIAS"])["accuracy"] * 100, (96.58, 97.08)
    assert (each[0], each[2]) == pytest.approx(stated, abs=0.005)
    assert class_averages(MAMMOGRAMS["MIAS"])["accuracy"] * 100 < min(stated) - 1


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 9)))
def test_figures_of_classes_are_their_definitions(counts: NDArray[np.int64]) -> None:
    if not counts.sum():
        return
    total, each, averages = counts.sum(), one_vs_rest(counts), class_averages(counts)
    for one in range(3):
        tp = counts[one, one]
        fp, fn = counts[:, one].sum() - tp, counts[one].sum() - tp
        tn = total - tp - fp - fn
        wanted = {
            "accuracy": (tp + tn) / total,
            "precision": tp / (tp + fp) if tp + fp else 0,
            "recall": tp / (tp + fn) if tp + fn else 0,
            "specificity": tn / (tn + fp) if tn + fp else 0,
            "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0,
        }
        assert {name: each[name][one] for name in wanted} == pytest.approx(wanted)
    for name in ("precision", "recall", "specificity", "f1"):
        assert averages[name] == pytest.approx(np.mean(each[name]))


def test_kappa_is_nil_by_chance_and_one_without_error() -> None:
    assert class_averages(np.array([[40, 10], [40, 10]]))["kappa"] == pytest.approx(0)
    assert class_averages(np.diag([3, 4, 5]))["kappa"] == pytest.approx(1)
    assert class_averages(np.array([[20, 5], [10, 15]]))["kappa"] == pytest.approx(0.4)


@given(arrays(np.int64, 15, elements=st.integers(0, 2)), arrays(np.int64, (15, 3), elements=st.integers(1, 5)))
def test_the_area_of_several_classes_is_the_mean_of_each_against_the_rest(
    labels: NDArray[np.int64], weights: NDArray[np.int64]
) -> None:
    probabilities = weights / weights.sum(1, keepdims=True)
    areas = []
    for one in range(3):
        column = probabilities[:, one]
        pairs = [(p > n) + (p == n) / 2 for p in column[labels == one] for n in column[labels != one]]
        areas += [np.mean(pairs)] if pairs else []
    found = macro_auc(labels, probabilities)
    assert found == pytest.approx(np.mean(areas)) if areas else math.isnan(found)


def test_the_area_of_two_classes_is_that_of_the_second() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9])
    probabilities = np.stack([1 - scores, scores], axis=1)
    assert macro_auc(labels, probabilities) == class_aucs(labels, probabilities)[0] == 0.75
    assert math.isnan(macro_auc(np.zeros(4, np.int64), probabilities))


def test_a_patients_answer_is_the_mean_over_the_patches_and_its_truth_the_commonest_label() -> None:
    patients = np.array(["b", "a", "a", "b", "b", "c", "c"])
    labels = np.array([1, 0, 0, 1, 0, 0, 1])
    scores = np.array([0.9, 0.2, 0.7, 0.2, 0.4, 0.0, 0.5])
    one = by_patient(labels, np.stack([1 - scores, scores], axis=1), patients)
    assert one.patients.tolist() == ["a", "b", "c"]
    assert one.labels.tolist() == [0, 1, 0]  # as many of each for c: the first
    assert one.probabilities[:, 1] == pytest.approx([0.45, 0.5, 0.25])
    assert one.right == pytest.approx([1 / 2, 2 / 3, 1 / 2])
    assert one.patches.tolist() == [2, 3, 2]


def test_every_patient_counts_alike_in_the_patient_score() -> None:
    patients, labels = np.repeat(["a", "b"], (98, 2)), np.ones(100, np.int64)
    scores = np.repeat([0.9, 0.1], (98, 2))
    assert by_patient(labels, np.stack([1 - scores, scores], axis=1), patients).score == 0.5


@given(st.integers(2, 4), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_answers_by_patient_equal_those_of_a_loop(classes: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, patients = rng.integers(classes, size=count), rng.choice(["x", "y", "z"], count)
    probabilities = rng.dirichlet(np.ones(classes), count)
    one = by_patient(labels, probabilities, patients)
    for place, patient in enumerate(one.patients):
        mine = patients == patient
        assert one.probabilities[place] == pytest.approx(probabilities[mine].mean(0))
        assert one.right[place] == pytest.approx((probabilities[mine].argmax(1) == labels[mine]).mean())
        votes = [int((labels[mine] == label).sum()) for label in range(classes)]
        assert one.labels[place] == votes.index(max(votes))


def test_calibration_error_of_three_classes_is_that_of_a_loop_over_bins() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(3), 300), rng.integers(3, size=300)
    gap = 0.0
    for low in np.arange(15) / 15:
        within = [place for place in range(300) if low <= max(probabilities[place]) < low + 1 / 15]
        if within:
            right = np.mean([np.argmax(probabilities[place]) == labels[place] for place in within])
            gap += len(within) / 300 * abs(right - np.mean([max(probabilities[place]) for place in within]))
    assert expected_calibration_error(labels, probabilities) == pytest.approx(gap)
