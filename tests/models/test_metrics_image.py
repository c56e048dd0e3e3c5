from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from models.degrade import enlarge_bicubic, reduce_bilinear
from models.metrics_image import luma, ms_ssim, mse, psnr, qilv, ssim
from tests.models.examples import tissue

Plane = NDArray[np.float64]
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def gaussian_window() -> Plane:
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.asarray(np.outer(line, line) / line.sum() ** 2)


def windows(plane: Plane) -> Plane:
    """All 11 x 11 neighbourhoods that lie within the plane: (y - 10, x - 10, 11, 11)."""
    return np.lib.stride_tricks.sliding_window_view(plane, (11, 11))


def naive_similarity(one: Plane, other: Plane) -> tuple[float, float]:
    """SSIM, and its part without the means, window by window."""
    views, window = (windows(one), windows(other)), gaussian_window()
    m1, m2 = ((view * window).sum((-1, -2)) for view in views)
    v1, v2 = ((view**2 * window).sum((-1, -2)) - m**2 for view, m in zip(views, (m1, m2), strict=True))
    shared = (views[0] * views[1] * window).sum((-1, -2)) - m1 * m2
    contrast = (2 * shared + C2) / (v1 + v2 + C2)
    return float(((2 * m1 * m2 + C1) / (m1**2 + m2**2 + C1) * contrast).mean()), float(contrast.mean())


def naive_ms_ssim(one: Plane, other: Plane) -> float:
    factors = []
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        factors.append(naive_similarity(one, other)[0 if scale == 4 else 1] ** weight)
        one, other = ((p[:-1:2, :-1:2] + p[1::2, :-1:2] + p[:-1:2, 1::2] + p[1::2, 1::2]) / 4 for p in (one, other))
    return float(np.prod(factors))


def naive_qilv(one: Plane, other: Plane, *, zero_padded: bool = False) -> float:
    """The definition, window by window in plain loops; padded with zeros as some programs have it, or not."""
    window, variances = gaussian_window(), []
    for plane in (one, other):
        if zero_padded:
            plane = np.pad(plane, 5)
        found = np.empty((plane.shape[0] - 10, plane.shape[1] - 10))
        for y in range(found.shape[0]):
            for x in range(found.shape[1]):
                part = plane[y : y + 11, x : x + 11]
                found[y, x] = (window * (part - (window * part).sum()) ** 2).sum()
        variances.append(found.ravel())
    covariance = np.cov(variances[0], variances[1])
    (m1, m2), (s1, s2) = (one.mean() for one in variances), np.sqrt(np.diag(covariance))
    first = (2 * m1 * m2 + C1) / (m1**2 + m2**2 + C1) * (2 * s1 * s2 + C2) / (s1**2 + s2**2 + C2)
    return float(first * (covariance[0, 1] + C2 / 2) / (s1 * s2 + C2 / 2))


def noisy_pair(height: int, width: int) -> tuple[Plane, Plane]:
    rng = np.random.default_rng(0)
    one = ndimage.gaussian_filter(rng.uniform(0, 255, (height, width)), 2)
    return one, one + rng.normal(0, 4, one.shape)


def drawn(height: int = 72, width: int = 80) -> tuple[Plane, Plane]:
    """Y of real tissue, and of the same reduced by 4 and enlarged again."""
    image = tissue(height, width)
    return luma(image), luma(enlarge_bicubic(reduce_bilinear(image, 4), 4))


# --- differences


@given(arrays(np.uint8, (12, 12, 3)), arrays(np.uint8, (12, 12, 3)))
def test_mse_and_psnr_are_those_of_scikit_image(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    assert mse(one, other) == pytest.approx(mean_squared_error(one, other))
    if np.array_equal(one, other):
        assert psnr(one, other) == math.inf
    else:
        assert psnr(one, other) == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255))


def test_psnr_of_a_difference_of_one_grey_level() -> None:
    assert psnr(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)) == pytest.approx(48.1308, abs=1e-4)


def test_luma_spans_16_to_235_and_ranks_green_first() -> None:
    black, white, green, red = (np.array([[rgb]], np.uint8) for rgb in ((0,) * 3, (255,) * 3, (0, 255, 0), (255, 0, 0)))
    assert luma(black)[0, 0] == 16
    assert luma(white)[0, 0] == pytest.approx(235)
    assert luma(green)[0, 0] > luma(red)[0, 0]


# --- structural similarity


def test_ssim_is_its_formula_with_valid_gaussian_windows() -> None:
    one, other = noisy_pair(40, 44)
    assert ssim(one, other) == pytest.approx(naive_similarity(one, other)[0], abs=1e-9)


def test_ms_ssim_is_its_product_over_five_scales() -> None:
    one, other = noisy_pair(181, 178)
    assert ms_ssim(one, other) == pytest.approx(naive_ms_ssim(one, other), abs=1e-9)


def test_similarities_of_colours_are_means_over_channels() -> None:
    image = tissue(180, 180)
    other = np.asarray(ndimage.gaussian_filter(image, (1, 1, 0)))
    planes = [(image[..., channel], other[..., channel]) for channel in range(3)]
    assert ssim(image, other) == pytest.approx(np.mean([ssim(*pair) for pair in planes]))
    of_planes = [ms_ssim(*pair) for pair in planes]
    assert ms_ssim(image, other) == pytest.approx(np.mean([value for value in of_planes if value is not None]))


def test_ms_ssim_wants_176_px() -> None:
    assert ms_ssim(np.zeros((175, 300)), np.zeros((175, 300))) is None
    assert ms_ssim(np.zeros((176, 176)), np.zeros((176, 176))) == 1


def test_an_inverted_image_has_no_structure_in_common() -> None:
    one, _ = noisy_pair(176, 176)
    assert ms_ssim(one, 255 - one) == 0


# --- local variance


def test_qilv_is_its_definition_in_plain_loops() -> None:
    assert qilv(*drawn(40, 44)) == pytest.approx(naive_qilv(*drawn(40, 44)), abs=1e-9)


def test_qilv_of_an_image_with_itself_is_one_and_less_once_it_is_blurred() -> None:
    plane = drawn()[0]
    assert qilv(plane, plane) == pytest.approx(1, abs=1e-12)
    some, more = (qilv(plane, ndimage.gaussian_filter(plane, sigma)) for sigma in (0.7, 1.4))
    assert more < some < 0.999


def test_qilv_does_not_care_which_image_comes_first() -> None:
    one, other = drawn()
    assert qilv(one, other) == qilv(other, one)


@given(st.floats(-100, 100))
def test_qilv_does_not_see_a_constant(constant: float) -> None:
    one, other = drawn(40, 44)
    assert qilv(one, other + constant) == pytest.approx(qilv(one, other), abs=1e-9)


def test_zero_padding_would_flatter_qilv() -> None:
    one, other = drawn()
    assert naive_qilv(one, other, zero_padded=True) > qilv(one, other) + 0.01


def test_qilv_of_flat_planes() -> None:
    flat, plane = np.full((40, 44), 0.1 + 16), drawn(40, 44)[0]
    assert qilv(flat, flat + 7.3) == 1
    assert qilv(flat, plane) == qilv(plane, flat) == 0
