import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pipeline.nuclei_smoothing import smoothed

IMAGES = st.tuples(st.integers(1, 90), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32))
)


@given(IMAGES, st.floats(0.3, 4))
def test_it_is_a_gaussian_mirrored_at_the_sides(image: np.ndarray, sigma_px: float) -> None:
    expected = ndimage.gaussian_filter(image.astype(np.float64), sigma_px, radius=int(np.ceil(3 * sigma_px)))
    np.testing.assert_allclose(smoothed(image, sigma_px), expected, atol=1e-6)


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_pixel_has_the_same_bits_in_any_part_that_shows_its_neighbourhood(top: int, left: int) -> None:
    image = np.random.default_rng(top).random((150, 120), np.float32)
    part = smoothed(image[top : top + 100, left : left + 70], 1.0)
    np.testing.assert_array_equal(part[3:-3, 3:-3], smoothed(image, 1.0)[top + 3 : top + 97, left + 3 : left + 67])


def test_no_width_leaves_an_image_as_it_is() -> None:
    image = np.random.default_rng(0).random((5, 7), np.float32)
    np.testing.assert_array_equal(smoothed(image, 0.0), image)


def test_what_is_no_number_stays_none() -> None:
    image = np.zeros((9, 9), np.float32)
    image[4, 4] = np.nan
    assert np.isnan(smoothed(image, 1.0)).any()
