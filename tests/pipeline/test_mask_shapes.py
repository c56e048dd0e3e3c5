"""Masks grown, shrunk and tidied are those of distances and label images."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects

from pipeline.mask_shapes import eroded, grown, labelled, solid, without_specks
from tests.pipeline import plain_thumbnail as plain


def speckles(seed: int, height: int, width: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    return np.asarray(random.random((height, width)) < random.choice([0, 0.03, 0.4, 0.6, 0.95, 1]))


masks = st.builds(speckles, st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40))
reaches = st.one_of(st.floats(0, 50), st.integers(0, 9).map(float))


@given(masks, reaches)
def test_a_mask_grows_by_discs_and_shrinks_by_them(mask: NDArray[np.bool_], reach_px: float) -> None:
    before = mask.copy()
    assert np.array_equal(grown(mask, reach_px), plain.grown(mask, reach_px))
    assert np.array_equal(eroded(mask, reach_px), plain.eroded(mask, reach_px))
    assert np.array_equal(mask, before)


@given(masks, st.integers(0, 30), st.integers(0, 30))
def test_small_holes_are_filled_and_small_pieces_dropped(mask: NDArray[np.bool_], hole_px: int, piece_px: int) -> None:
    assert np.array_equal(solid(mask, hole_px, piece_px), plain.solid(mask, hole_px, piece_px))
    assert np.array_equal(without_specks(mask, piece_px), remove_small_objects(mask, max_size=piece_px))


@given(masks)
def test_pieces_are_numbered_as_scipy_numbers_them(mask: NDArray[np.bool_]) -> None:
    labels, count = labelled(mask)
    want, how_many = ndimage.label(mask)
    assert count == how_many
    assert np.array_equal(labels.reshape(mask.shape), want)
