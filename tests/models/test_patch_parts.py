from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data_patches import PatchSet
from models.errors import TrainingError
from models.patch_parts import draw_from, part_by_image, part_by_patient, pool, refuse_untaught_classes
from models.train_config import SourceConfig


def patch_set(patients: int = 10, each: int = 6, first: int = 0) -> PatchSet:
    """Patches whose grey level says which they are."""
    count = patients * each
    pixels = np.broadcast_to(np.arange(first, first + count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3))
    return PatchSet(pixels, np.arange(count) % 3 % 2, np.repeat([f"p{place}" for place in range(patients)], each))


def source(**changes: object) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind="files", path=".", **changes)  # type: ignore[arg-type]


def levels(patches: PatchSet) -> list[int]:
    return [int(level) for level in patches.pixels[:, 0, 0, 0]]


def test_by_patient_no_patient_is_on_two_sides() -> None:
    parts = part_by_patient(patch_set(), source(validation_share=0.2, test_share=0.3), seed=0)
    whose = [set(part.patients.tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert [len(some) for some in whose] == [5, 2, 3]
    assert len(set.union(*whose)) == 10
    assert parts.test_places.tolist() == levels(parts.test)


def test_by_image_patients_are_on_both_sides_and_each_image_is_tested_once() -> None:
    patches = patch_set()
    folds = [part_by_image(patches, source(validation_share=0.25), 1, (fold, 5)) for fold in range(5)]
    assert sorted(level for one in folds for level in levels(one.test)) == list(range(60))
    for one in folds:
        assert not set(levels(one.train)) & (set(levels(one.test)) | set(levels(one.validation)))
        assert sorted(levels(one.train) + levels(one.validation) + levels(one.test)) == list(range(60))
        assert set(one.test.patients.tolist()) <= set(one.train.patients.tolist()) | set(
            one.validation.patients.tolist()
        )
        assert len(one.validation.labels) == 12
        assert np.bincount(one.test.labels).tolist() == [8, 4]


def test_a_fold_that_is_none_is_refused() -> None:
    with pytest.raises(TrainingError, match="no fold 5 of 5"):
        part_by_image(patch_set(), source(), 0, (5, 5))


def test_examples_come_from_the_sources_in_proportion_and_from_classes_alike() -> None:
    common = part_by_patient(patch_set(), source(share=3.0), 0)
    rare = part_by_patient(patch_set(5, first=100), source(share=1.0), 0)
    unused = part_by_patient(patch_set(5, first=200), source(share=0.0), 0)
    rng = np.random.default_rng(0)
    drawn = [draw_from([common, rare, unused], 0.0, rng) for _ in range(400)]
    assert not any(image.max() > 190 for image, _ in drawn)
    assert np.mean([image.max() > 95 for image, _ in drawn]) == pytest.approx(0.25, abs=0.06)
    assert np.mean([label for _, label in drawn]) == pytest.approx(0.5, abs=0.06)


def test_a_source_of_one_class_keeps_that_classs_number() -> None:
    patches = patch_set()
    only = PatchSet(patches.pixels, np.ones(60, np.int64), patches.patients)
    parts = part_by_patient(only, source(), 0)
    assert {label for _, label in (draw_from([parts], 0.0, np.random.default_rng(seed)) for seed in range(5))} == {1}


def test_patients_of_several_sources_bear_the_sources_name() -> None:
    one, two = (part_by_patient(patch_set(2), source(), 0).named_by(name) for name in ("a", "b"))
    assert set(pool([one.train, two.train]).patients.tolist()) == {"a: p0", "a: p1", "b: p0", "b: p1"}
    assert len(pool([one.test, two.test]).labels) == 0
    assert pool([one.train]) is one.train


def test_a_class_that_nobody_teaches_is_refused_by_name() -> None:
    parts = part_by_patient(patch_set(), source(), 0)
    refuse_untaught_classes([parts], ("a", "b"), "training")
    unused = replace(parts, share=0.0)
    with pytest.raises(TrainingError, match="training: no training patch is of the class c"):
        refuse_untaught_classes([parts], ("a", "b", "c"), "training")
    with pytest.raises(TrainingError, match="class a, b"):
        refuse_untaught_classes([unused], ("a", "b"), "training")
