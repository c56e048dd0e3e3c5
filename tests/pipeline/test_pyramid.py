import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pyramid import halve_mean, halve_nearest


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
    np.testing.assert_array_equal(halve_mean(values)[..., 0], np.array([[2, np.nan]], np.float32))


def test_labels_are_picked_not_mixed() -> None:
    labels = np.arange(15, dtype=np.uint32).reshape(3, 5)
    np.testing.assert_array_equal(halve_nearest(labels), [[0, 2, 4], [10, 12, 14]])
