from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.metrics import balanced_accuracy, confusion
from models.operating_point import choose_operating_point, figures_at


def at(point: float, labels: NDArray[np.int64], second: NDArray[np.float64]) -> float:
    return balanced_accuracy(confusion(labels, (second >= point).astype(np.int64), 2))


def each_a_patient(labels: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.arange(len(labels)).astype(str)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=40))
def test_a_half_is_left_only_for_something_better(drawn: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in drawn])
    second = np.array([twentieths / 20 for _, twentieths in drawn])
    point = choose_operating_point(labels, second, each_a_patient(labels))
    assert point == 0.5 or at(point, labels, second) > at(0.5, labels, second)
    if len(set(labels)) < 2:
        assert point == 0.5


def test_a_line_that_many_patients_agree_on_is_taken() -> None:
    labels = np.tile([0, 1], 200)
    second = np.where(labels == 1, 0.3, 0.1)
    assert choose_operating_point(labels, second, each_a_patient(labels)) == pytest.approx(0.2)


def test_a_line_that_a_few_patients_suggest_is_not() -> None:
    labels = np.array([0] * 4 + [1] * 8)
    second = np.array([0.1, 0.2, 0.3, 0.6, 0.45, 0.6, 0.6, 0.6, 0.7, 0.7, 0.8, 0.9])
    assert at(0.4, labels, second) > at(0.5, labels, second)
    assert choose_operating_point(labels, second, each_a_patient(labels)) == 0.5


def test_one_patient_moves_nothing() -> None:
    labels, second = np.tile([0, 1], 20), np.tile([0.6, 0.9], 20)
    assert choose_operating_point(labels, second, np.full(40, "p1")) == 0.5


def test_figures_are_those_of_the_second_class_called_from_the_point_on() -> None:
    labels, second = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.3, 0.35, 0.3, 0.9])
    found = figures_at(0.3, labels, second, np.array(["a", "a", "b", "b", "b"]))
    assert found["recall"] == 1
    assert found["specificity"] == pytest.approx(1 / 3)
    assert found["precision"] == pytest.approx(1 / 2)
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    low, high = found["balanced_accuracy_95"]
    assert low <= 2 / 3 <= high
