from __future__ import annotations

import numpy as np
import pytest

from models.evaluate_classification import evaluate_classification


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
