from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.comparison_classification_folds import patient_folds
from models.data_patches import PatchSet
from models.errors import TrainingError

Shares = Sequence[float]


def patch_set(dark: Shares, each: int = 10) -> PatchSet:
    """Patients with so many dark patches among their ten."""
    labels = np.concatenate([np.arange(each) < round(share * each) for share in dark]).astype(np.int64)
    patients = np.repeat([f"p{place:02d}" for place in range(len(dark))], each)
    return PatchSet(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, patients)


@given(
    st.lists(st.floats(0, 1), min_size=6, max_size=40),
    st.integers(2, 6),
    st.floats(0.05, 0.5),
    st.integers(0, 100),
)
def test_folds_partition_the_patients_and_nobody_who_is_tested_on_chooses(
    dark: list[float], count: int, share: float, seed: int
) -> None:
    folds = patient_folds(patch_set(dark), count, share, seed)
    tested = [patient for fold in folds for patient in fold.test]
    assert sorted(tested) == [f"p{place:02d}" for place in range(len(dark))]
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert not set(fold.test) & set(fold.validation)
        assert fold.validation
        assert len(fold.test) + len(fold.validation) < len(dark)


@given(st.integers(5, 12), st.integers(5, 30), st.integers(0, 100))
def test_each_fold_has_its_share_of_the_patients_of_each_class(pale: int, dark: int, seed: int) -> None:
    folds = patient_folds(patch_set([0.0] * pale + [1.0] * dark), 5, 0.2, seed)
    counts = [sum(int(patient[1:]) < pale for patient in fold.test) for fold in folds]
    assert max(counts) - min(counts) <= 1
    counts = [sum(int(patient[1:]) >= pale for patient in fold.test) for fold in folds]
    assert max(counts) - min(counts) <= 2


def test_who_chooses_are_about_the_share_that_was_asked_for() -> None:
    folds = patient_folds(patch_set([0.0, 1.0] * 50), 5, 0.15, 0)
    assert all(len(fold.validation) == pytest.approx(0.15 * 80, abs=1) for fold in folds)


def test_the_folds_follow_from_the_seed() -> None:
    once, again, other = (patient_folds(patch_set([0.1, 0.9] * 9), 3, 0.2, seed) for seed in (4, 4, 5))
    assert once == again != other


def test_fewer_patients_than_folds_are_refused() -> None:
    with pytest.raises(TrainingError, match="2 patients do not fill 5 folds") as error:
        patient_folds(patch_set([0.0, 1.0]), 5, 0.2, 0)
    assert len(str(error.value).splitlines()) == 2
