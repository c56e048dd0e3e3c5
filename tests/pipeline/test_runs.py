from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.runs import areas_of, at_border, find_contacts, find_runs, unite

EIGHT = np.ones((3, 3))


def speckles(seed: int, height: int, width: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    return np.asarray(random.random((height, width)) < random.uniform(0.2, 0.8))


masks = st.builds(speckles, st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30))


@given(masks)
def test_runs_cover_an_image_and_give_it_back(mask: NDArray[np.bool_]) -> None:
    runs = find_runs(mask)
    assert (runs.paint(runs.value) == mask).all()
    assert runs.length.sum() == mask.size
    assert (runs.x + runs.length <= mask.shape[1]).all()
    goes_on = (runs.y[1:] == runs.y[:-1]) & (runs.value[1:] == runs.value[:-1])
    assert not goes_on.any()


@given(masks)
def test_components_are_numbered_as_scipy_numbers_them(mask: NDArray[np.bool_]) -> None:
    runs = find_runs(mask)
    contacts = find_contacts(runs)
    assert (runs.paint(unite(runs.value, contacts.sides)) == ndimage.label(mask)[0]).all()
    assert (runs.paint(unite(runs.value, contacts.sides, contacts.corners)) == ndimage.label(mask, EIGHT)[0]).all()


@given(masks)
def test_areas_are_those_of_the_pixels(mask: NDArray[np.bool_]) -> None:
    labels, count = ndimage.label(mask, output=np.int32)
    runs = find_runs(labels)
    assert (areas_of(runs, runs.value, count) == np.bincount(labels.ravel(), minlength=count + 1)).all()


@given(masks)
def test_runs_at_the_border_have_a_pixel_there(mask: NDArray[np.bool_]) -> None:
    runs = find_runs(mask)
    border = np.ones(mask.shape, bool)
    border[1:-1, 1:-1] = False
    number = runs.paint(np.arange(len(runs)))
    assert set(np.flatnonzero(at_border(runs))) == set(number[border])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_images_of_one_row_or_column_have_runs(shape: tuple[int, int]) -> None:
    runs = find_runs(np.ones(shape, bool))
    assert unite(runs.value, find_contacts(runs).sides).tolist() == [1] * shape[0]
