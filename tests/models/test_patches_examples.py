from __future__ import annotations

import numpy as np
import pytest

from models.errors import TrainingError
from models.patches_examples import Patch, class_index


def patch(*labels: str) -> Patch:
    return Patch("a.png", "p", labels, lambda: np.zeros((32, 32, 3), np.uint8))


def test_a_class_is_named_in_any_case_or_by_its_index() -> None:
    classes = ("Benign", "Malignant")
    assert [class_index(patch(label), classes) for label in ("benign", "MALIGNANT", "0", "1")] == [0, 1, 0, 1]


def test_a_name_goes_before_an_index() -> None:
    assert class_index(patch("1"), ("1", "0")) == 0


def test_the_narrowest_label_that_is_a_class_counts() -> None:
    labels = ("ductal_carcinoma", "malignant")
    assert class_index(patch(*labels), ("benign", "malignant")) == 1
    assert class_index(patch(*labels), ("malignant", "ductal_carcinoma")) == 1


def test_a_label_that_is_no_class_is_named_with_its_patch() -> None:
    with pytest.raises(TrainingError, match=r"^a\.png: label 'cat' or '2' is none of the classes a, b\nName all"):
        class_index(patch("cat", "2"), ("a", "b"))
