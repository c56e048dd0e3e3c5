from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from pipeline.nuclei_distance import squared_distance
from pipeline.nuclei_necks import split_at_necks

FOUR = ndimage.generate_binary_structure(2, 1)


def summits_of(squares: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of a seed alone: highest among 5 x 5, less those beside which a plateau began; from the highest down."""
    highest = np.pad((squares > 0) & (squares == ndimage.maximum_filter(squares, 5, mode="constant")), 1)
    begun = highest[:-2, :-2] | highest[:-2, 1:-1] | highest[:-2, 2:] | highest[1:-1, :-2]
    summits = np.argwhere(highest[1:-1, 1:-1] & ~begun)
    return summits[np.lexsort((*summits.T[::-1], -squares[tuple(summits.T)]))]


def h_maxima(squares: NDArray[np.int32], height_px: float) -> NDArray[np.int64]:
    """Summits that are parted from all before them where the seed is cut off less than height_px below them."""
    depth_px, summits = np.sqrt(squares), summits_of(squares)
    tops = summits[:1]
    for y, x in summits[1:]:
        around, _ = ndimage.label(depth_px > max(depth_px[y, x] - height_px, 0), FOUR)
        parted = (around[tuple(tops.T)] != around[y, x]).all()
        if parted and depth_px[y, x] > height_px:
            tops = np.append(tops, [[y, x]], axis=0)
    return tops


def parted_slowly(squares: NDArray[np.int32], height_px: float) -> NDArray[np.int32]:
    """scikit-image's watershed of one seed; tops are the lowest, each different, as those of one height compete."""
    tops = h_maxima(squares, height_px)
    height, markers = -np.sqrt(squares), np.zeros(squares.shape, np.int32)
    height[tuple(tops.T)] = -1e6 + np.arange(len(tops))
    markers[tuple(tops.T)] = 1 + np.arange(len(tops))
    return np.asarray(watershed(height, markers, mask=squares > 0))


def seed_of(random: np.random.Generator) -> NDArray[np.bool_]:
    noise = ndimage.gaussian_filter(random.standard_normal((50, 60)), random.choice([2.0, 4.0]))
    pieces, count = ndimage.label(noise > random.uniform(-1, 0.5) * noise.std())
    largest = 1 + np.argmax(np.bincount(pieces.ravel(), minlength=count + 2)[1:])
    return np.asarray(pieces == largest)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 3))
def test_seeds_are_parted_as_by_h_maxima_and_a_watershed(seed: int, height_px: float) -> None:
    mask = seed_of(np.random.default_rng(seed))
    squares = squared_distance(mask, 100)
    parted = split_at_necks(mask.astype(np.int32), squares, np.ones(2, bool), height_px)
    assert (parted == parted_slowly(squares, height_px)).all()


def test_wide_seeds_are_left_as_they_are() -> None:
    mask = seed_of(np.random.default_rng(0))
    labels, squares = mask.astype(np.int32), squared_distance(mask, 100)
    assert split_at_necks(labels, squares, np.array([True, True]), 0.5).max() > 1
    assert (split_at_necks(labels, squares, np.array([True, False]), 0.5) == labels).all()
