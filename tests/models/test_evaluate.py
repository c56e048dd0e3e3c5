from __future__ import annotations

import numpy as np
import pytest

from models.data_nuclei import LabelledImage
from models.evaluate import evaluate_classification, evaluate_nuclei
from tests.models.test_instances import certain, discs


def test_a_perfect_nuclei_network_beats_the_empty_answer() -> None:
    labels = discs()
    image = LabelledImage("a", np.zeros((*labels.shape, 3), np.uint8), labels, instances=True)
    network, nothing = evaluate_nuclei([image], lambda _: certain(labels), lambda _: labels)
    assert network["aji"] == network["pq"] == {"mean": 1, "sd": 0}
    assert network["relative_count_error"]["mean"] == 0
    assert nothing["dice"]["mean"] == nothing["aji"]["mean"] == 0
    assert nothing["relative_count_error"]["mean"] == -1


def test_images_with_masks_only_are_judged_by_dice() -> None:
    labels = discs()
    both = [LabelledImage("a", np.zeros((*labels.shape, 3), np.uint8), labels, instances=False)]
    network, _ = evaluate_nuclei(both, lambda _: certain(labels), lambda _: labels)
    assert set(network) == {"dice", "images"}


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
