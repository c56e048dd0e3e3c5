from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.nuclei_enclosed import fill_enclosed, without_pinholes

EIGHT = np.ones((3, 3))


@pytest.mark.parametrize("value", [0, 1])
def test_an_image_without_holes_is_left_as_it_is(value: int) -> None:
    labels = np.full((5, 6), value, np.int32)
    assert (fill_enclosed(labels) == labels).all()


def test_regions_enclosed_by_another_become_part_of_it() -> None:
    labels = np.ones((12, 12), np.int32)
    labels[2:10, 2:10] = 2
    labels[4:8, 4:8] = 0
    labels[5:7, 5:7] = 3
    assert (fill_enclosed(labels) == 1).all()


def test_a_gap_between_several_regions_belongs_to_none() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[1:4, 1:8], labels[4:8, 1:4], labels[4:8, 5:8], labels[7, 4] = 1, 2, 3, 3
    assert (fill_enclosed(labels) == labels).all()


@given(st.integers(0, 10_000), st.sampled_from([0.7, 1.5, 3.0]))
def test_filling_is_that_of_scipy_region_by_region(seed: int, grain_px: float) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((40, 45)), grain_px)
    labels, count = ndimage.label(noise > np.quantile(noise, 0.45), output=np.int32)
    filled = np.zeros(labels.shape, bool)
    for label in range(1, count + 1):
        filled |= ndimage.binary_fill_holes(labels == label, EIGHT)
    found = fill_enclosed(labels)
    assert ((found > 0) == filled).all()
    assert set(np.unique(found)) == set(range(found.max() + 1))


@given(st.integers(0, 10_000), st.integers(0, 6))
def test_holes_are_filled_up_to_their_size_and_never_at_the_border(seed: int, max_hole_px: int) -> None:
    mask = np.random.default_rng(seed).random((20, 23)) < 0.65
    holes, _ = ndimage.label(~mask, EIGHT)
    expected = mask.copy()
    for label, (rows, columns) in enumerate(ndimage.find_objects(holes), start=1):
        at_border = rows.start == 0 or columns.start == 0 or rows.stop == 20 or columns.stop == 23
        if not at_border and max(rows.stop - rows.start, columns.stop - columns.start) <= max_hole_px:
            expected |= holes == label
    assert (without_pinholes(mask, max_hole_px) == expected).all()
