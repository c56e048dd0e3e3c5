from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.nuclei_regions import connected, extents_of, renumbered


def speckles(seed: int, height: int, width: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    return np.asarray(random.random((height, width)) < random.uniform(0.2, 0.8))


masks = st.builds(speckles, st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30))


@given(masks)
def test_regions_are_numbered_as_scipy_numbers_them(mask: NDArray[np.bool_]) -> None:
    labels, count = connected(mask, 1)
    expected, how_many = ndimage.label(mask)
    assert count == how_many
    assert (labels == expected).all()


@given(masks, st.integers(1, 20))
def test_small_regions_go_and_leave_no_gap(mask: NDArray[np.bool_], least_area_px: int) -> None:
    every, _ = ndimage.label(mask)
    large = np.bincount(every.ravel()) >= least_area_px
    large[0] = False
    labels, count = connected(mask, least_area_px)
    assert count == large.sum()
    assert (labels == np.where(large, np.cumsum(large), 0)[every]).all()


@given(masks)
def test_boxes_and_areas_are_those_of_the_pixels(mask: NDArray[np.bool_]) -> None:
    labels, count = ndimage.label(mask, output=np.int32)
    labels[labels == 0] = -1
    extents = extents_of(labels, count)
    assert [extents.slices(label) for label in range(1, count + 1)] == ndimage.find_objects(np.maximum(labels, 0))
    assert (extents.area_px[1:] == np.bincount(labels[labels > 0], minlength=count + 1)[1:]).all()
    sides = [
        max(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in ndimage.find_objects(labels)
    ]
    assert extents.side_px[1:].tolist() == sides


def test_what_no_pixel_has_is_of_no_size() -> None:
    extents = extents_of(np.zeros((4, 5), np.int32), 2)
    assert not extents.area_px.any()
    assert (extents.side_px < 1).all()


def test_labels_that_go_leave_no_gap_nor_do_negative_ones_stay() -> None:
    labels = np.array([[0, 3, 1], [2, 3, -1]], np.int32)
    assert renumbered(labels, np.array([True, True, False, True])).tolist() == [[0, 2, 1], [0, 2, 0]]
