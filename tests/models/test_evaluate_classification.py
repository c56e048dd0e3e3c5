from __future__ import annotations

import numpy as np
import pytest

from models.evaluate_classification import evaluate_classes, evaluate_classification, figures
from models.metrics_classes import by_patient


def test_always_the_commonest_class_is_half_right_in_balance() -> None:
    labels = np.array([0, 0, 0, 1] * 10)
    patients = np.repeat([f"p{place}" for place in range(10)], 4)
    right = np.eye(2, dtype=np.float32)[labels] * 0.8 + 0.1
    network, commonest = evaluate_classification(labels, right, patients)
    assert network["balanced_accuracy"] == network["auc"] == 1
    assert network["confusion"] == [[30, 0], [0, 10]]
    assert network["ece"] == pytest.approx(0.1, abs=1e-6)
    assert network["patients"] == 10
    assert network["kappa"] == network["f1"] == network["precision"] == network["specificity"] == 1
    assert commonest["kappa"] == 0
    assert commonest["balanced_accuracy"] == 0.5
    assert commonest["auc"] == 0.5
    assert commonest["accuracy"] == 0.75


def test_patients_are_judged_by_their_mean_beside_their_patches() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat([f"p{place}" for place in range(12)], 5)
    labels = np.repeat(np.arange(12) % 2, 5)
    scores = np.clip(labels * 0.3 + rng.normal(0.35, 0.25, 60), 0.01, 0.99)
    probabilities = np.stack([1 - scores, scores], axis=1)
    found, _ = evaluate_classification(labels, probabilities, patients)
    one = by_patient(labels, probabilities, patients)
    assert found["patient_score"] == pytest.approx(one.score) == pytest.approx(found["accuracy"])  # five patches each
    assert found["patient_accuracy"] == (one.probabilities.argmax(1) == one.labels).mean() > found["accuracy"]
    assert np.sum(found["patient_confusion"]) == 12
    assert found["auc_95"][0] < found["auc"] < found["auc_95"][1]
    assert found["patient_score_95"][0] < found["patient_score"] < found["patient_score_95"][1]


def test_more_than_two_classes_are_judged_each_and_on_average() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    said = np.array([0, 1, 1, 1, 2, 0])
    probabilities = np.eye(3)[said] * 0.7 + 0.1
    each = evaluate_classes(labels, probabilities, ("a", "b", "c"))
    assert each["b"] == pytest.approx(
        {
            "accuracy": 5 / 6,
            "precision": 2 / 3,
            "recall": 1,
            "specificity": 3 / 4,
            "f1": 4 / 5,
            "auc": 7 / 8,
            "patches": 2,
        }
    )
    found = figures(labels, probabilities)
    for name in ("precision", "recall", "specificity", "f1", "auc"):
        assert found[name] == pytest.approx(np.mean([one[name] for one in each.values()]))
    assert found["accuracy"] == pytest.approx(4 / 6)
