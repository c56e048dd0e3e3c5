from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.augment import jitter_stain, magnify, magnify_labels, orient, random_box, soften
from tests.models.examples import tissue


def test_the_eight_orientations_differ_and_keep_every_pixel() -> None:
    image = np.arange(9).reshape(3, 3)
    orientations = [orient(image, which) for which in range(8)]
    assert len({one.tobytes() for one in orientations}) == 8
    assert all(sorted(one.ravel().tolist()) == list(range(9)) for one in orientations)


def test_orienting_image_and_labels_alike_keeps_them_in_register() -> None:
    image = tissue(20, 20)
    for which in range(8):
        assert np.array_equal(orient(image, which)[..., 0], orient(image[..., 0], which))


def test_no_jitter_is_the_identity() -> None:
    image = tissue(64, 64)
    assert np.abs(jitter_stain(image, np.random.default_rng(0), 0.0).astype(int) - image).max() <= 1


def test_jitter_changes_the_stain_but_keeps_the_picture() -> None:
    image = tissue(128, 128)
    changed = jitter_stain(image, np.random.default_rng(3), 0.2)
    assert np.abs(changed.astype(int) - image).max() > 3
    assert np.corrcoef(image.ravel(), changed.ravel())[0, 1] > 0.95


def test_jitter_is_drawn_from_the_generator_alone() -> None:
    image = tissue(32, 32)
    one, again, other = (jitter_stain(image, np.random.default_rng(seed), 0.2) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_softening_takes_detail_and_keeps_the_mean() -> None:
    image = tissue(128, 128)
    soft = soften(image, 2.0)
    assert soft.shape == image.shape
    assert soft.mean() == pytest.approx(image.mean(), abs=0.5)
    assert np.abs(np.diff(soft.astype(int), axis=0)).mean() < 0.8 * np.abs(np.diff(image.astype(int), axis=0)).mean()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**31))
def test_a_random_box_lies_in_the_image(height: int, width: int, side_px: int, seed: int) -> None:
    rows, columns = random_box((height, width), side_px, np.random.default_rng(seed))
    for box, length in ((rows, height), (columns, width)):
        assert 0 <= box.start < box.stop <= length
        assert box.stop - box.start == min(side_px, length)


def test_magnified_labels_hold_no_new_label() -> None:
    labels = np.random.default_rng(0).integers(0, 1000, (37, 37)).astype(np.int32)
    assert set(np.unique(magnify_labels(labels, 50))) <= set(np.unique(labels))
    assert np.array_equal(magnify_labels(labels, 37), labels)


def test_magnified_labels_lie_where_the_magnified_image_lies() -> None:
    labels = np.zeros((40, 40), dtype=np.int32)
    labels[8:20, 12:30] = 1
    image = np.repeat((labels * 200).astype(np.uint8)[..., None], 3, axis=2)
    for side_px in (32, 50, 80):
        grown = magnify_labels(labels, side_px) > 0
        assert np.mean(grown != (magnify(image, side_px)[..., 0] > 100)) < 0.01
