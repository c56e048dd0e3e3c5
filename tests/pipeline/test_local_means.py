"""Means a few rows at a time are those of scipy over the whole picture, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline import local_means
from pipeline.local_means import Room, box_mean, deviation, gaussian_weights, rows_around, strips, weighted_mean


def noise(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    darkest = int(random.choice([0, 100, 250]))
    return random.integers(darkest, 256, (height, width), np.uint8)


pictures = st.builds(noise, st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))


@pytest.fixture(autouse=True, scope="module")
def many_strips() -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(local_means, "_STRIP_PX", 100)


@given(pictures, st.sampled_from([0.1, 0.4, 0.75, 1.2, 3.0, 24.0]))
def test_a_weighted_mean_is_scipys_gaussian(picture: NDArray[np.uint8], sigma_px: float) -> None:
    weights, room = gaussian_weights(sigma_px), Room()
    smooth = np.empty(picture.shape, np.float32)
    for rows in strips(picture.shape, len(weights) - 1):
        weighted_mean(rows_around(picture, rows, len(weights) - 1), weights, smooth[rows], room)
    assert np.array_equal(smooth, ndimage.gaussian_filter(picture.astype(np.float32), sigma_px, mode="nearest"))


@given(pictures, st.sampled_from([3, 5, 7, 41]))
def test_a_mean_of_squares_is_scipys(picture: NDArray[np.uint8], side_px: int) -> None:
    thirds = picture.astype(np.float32) / np.float32(3)
    means, room = np.empty_like(thirds), Room()
    for rows in strips(thirds.shape, side_px // 2):
        box_mean(rows_around(thirds, rows, side_px // 2), side_px, means[rows], room)
    assert np.array_equal(means, ndimage.uniform_filter(thirds, side_px, mode="nearest"))


@given(pictures, st.sampled_from([3, 5]))
def test_a_deviation_is_that_of_the_square_around_each_pixel(picture: NDArray[np.uint8], side_px: int) -> None:
    found, room = np.empty(picture.shape, np.float32), Room()
    for rows in strips(picture.shape, side_px // 2):
        found[rows] = deviation(rows_around(picture, rows, side_px // 2).astype(np.float32), side_px, room)
    wide = np.pad(picture.astype(float), side_px // 2, mode="edge")
    squares = np.lib.stride_tricks.sliding_window_view(wide, (side_px, side_px))
    assert np.allclose(found, squares.std(axis=(2, 3)), atol=0.1)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_strips_cover_every_row_once(height: int, width: int, margin_px: int) -> None:
    rows = [row for strip in strips((height, width), margin_px) for row in range(strip.start, strip.stop)]
    assert rows == list(range(height))
