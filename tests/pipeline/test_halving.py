import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.halving import halve_labels, halve_mean


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_coarse_pixel_is_the_mean_of_those_it_covers(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    halved = halve_mean(pixels)
    assert halved.shape == ((height + 1) // 2, (width + 1) // 2, 3)
    for y in range(halved.shape[0]):
        for x in range(halved.shape[1]):
            covered = pixels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].reshape(-1, 3).astype(float)
            assert (np.abs(halved[y, x] - covered.mean(axis=0)) <= 0.5).all()


def test_white_stays_white_and_black_black() -> None:
    assert (halve_mean(np.full((5, 4, 3), 255, np.uint8)) == 255).all()
    assert (halve_mean(np.zeros((5, 4, 3), np.uint8)) == 0).all()


def test_what_is_no_number_is_left_out_of_the_mean() -> None:
    values = np.array([[1, np.nan, np.nan], [3, np.nan, np.nan]], np.float32)[..., np.newaxis]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        halved = halve_mean(values)
    np.testing.assert_array_equal(halved[..., 0], np.array([[2, np.nan]], np.float32))


def label_images() -> st.SearchStrategy[NDArray[np.uint32]]:
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
    return shapes.flatmap(lambda shape: arrays(np.uint32, shape, elements=st.sampled_from([0, 0, 7, 9])))


@given(label_images())
def test_a_coarse_label_is_the_one_that_most_of_its_four_have(labels: NDArray[np.uint32]) -> None:
    height, width = labels.shape
    even = np.pad(labels, ((0, height % 2), (0, width % 2)), mode="edge")
    for (y, x), value in np.ndenumerate(halve_labels(labels)):
        four = even[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
        assert four.count(value) == max(four.count(each) for each in four)


def test_ties_go_by_turns_to_the_larger_and_to_the_smaller() -> None:
    labels = np.tile(np.array([[0, 5]], np.uint32), (4, 2))
    np.testing.assert_array_equal(halve_labels(labels), [[0, 5], [5, 0]])


def test_labels_neither_drift_nor_grow_from_level_to_level() -> None:
    """A disc, off the grid, whose centre and area are known."""
    y, x = np.indices((256, 256)) + 0.5
    labels = (np.hypot(y - 119.3, x - 130.6) < 60).astype(np.uint32)
    for level in range(1, 4):
        labels = halve_labels(labels)
        centre = (np.argwhere(labels) + 0.5).mean(axis=0) * 2**level
        np.testing.assert_allclose(centre, (119.3, 130.6), atol=0.15 * 2**level)
        assert abs(labels.sum() * 4**level / (np.pi * 60**2) - 1) < 0.02
