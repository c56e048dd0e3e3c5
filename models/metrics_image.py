"""Metrics of images: how far a drawn image is from the true one. Functions of numpy arrays on 0..255, a formula each.

All are computed in float64 and, where they look through a window, only at places where the window fits: padding would
add a frame that is the same in both images and flatters every figure (QILV most of all).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

Image = NDArray[Any]

LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
"""Weights of R, G, B in Y of ITU-R BT.601, studio range: Y = 16 + these (MATLAB's `rgb2ycbcr`)."""

WINDOW_SIGMA_PX, WINDOW_RADIUS_PX = 1.5, 5
"""The Gaussian window of SSIM, MS-SSIM and QILV: 11 x 11 px, its weights sum to 1."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""What keeps the quotients of SSIM, MS-SSIM and QILV finite on flat places (Wang et al. 2004), for a range of 255."""

LEAST_SIDE_PX = 2 * WINDOW_RADIUS_PX + 1
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_LEAST_SIDE_PX = LEAST_SIDE_PX * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
"""176: the window still fits into the coarsest of five scales."""

FLAT_VARIANCE = 1e-9
"""Local variances below this, in grey levels squared, are rounding."""


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return Y (y, x) in 16..235 of RGB (y, x, 3) in 0..255, not rounded."""
    y: NDArray[np.float64] = 16 + image.astype(np.float64) @ np.asarray(LUMA)
    return y


def mse(one: Image, other: Image) -> float:
    """Return the mean squared difference of two images, in grey levels squared."""
    return float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))


def psnr_of(error: float) -> float:
    """Return 10 log10(255² / MSE) in dB of a mean squared error; infinite for 0."""
    return 10 * math.log10(255**2 / error) if error else math.inf


def psnr(one: Image, other: Image) -> float:
    """Return the peak signal-to-noise ratio in dB of two images on 0..255; infinite for equal ones."""
    return psnr_of(mse(one, other))


def ssim(one: Image, other: Image) -> float:
    """Return the structural similarity of two images (y, x) or (y, x, c) on 0..255, the mean over channels.

    Wang et al. 2004: a Gaussian window 11 x 11 with sigma 1.5, places where it fits only, C1 = (.01 L)²,
    C2 = (.03 L)², L = 255, population covariance.
    """
    return float(
        structural_similarity(
            one.astype(np.float64),
            other.astype(np.float64),
            data_range=255,
            gaussian_weights=True,
            sigma=WINDOW_SIGMA_PX,
            truncate=3.5,
            use_sample_covariance=False,
            channel_axis=2 if one.ndim == 3 else None,
        )
    )


def ms_ssim(one: Image, other: Image) -> float | None:
    """Return the multi-scale structural similarity of two images as `ssim` takes them; None under 176 px.

    Wang, Simoncelli and Bovik 2003: over five scales, each the 2 x 2 mean of the one before,
    prod_{j<5} cs_j^w_j · (l cs)_5^w_5, where l cs is SSIM, cs its part without the means, both the mean over places.
    Negative ones count as 0, since they have no such powers.
    """
    if min(one.shape[:2]) < MS_SSIM_LEAST_SIDE_PX:
        return None
    planes = zip(_planes(one), _planes(other), strict=True)
    return float(np.mean([_ms_ssim_of_plane(*pair) for pair in planes]))


def _ms_ssim_of_plane(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    product = 1.0
    for weight in MS_SSIM_WEIGHTS[:-1]:
        _, contrast = _similarity(one, other)
        product *= max(contrast, 0.0) ** weight
        one, other = _halve(one), _halve(other)
    whole, _ = _similarity(one, other)
    return float(product * max(whole, 0.0) ** MS_SSIM_WEIGHTS[-1])


def _similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return SSIM of two planes, and its contrast and structure part alone; the means over places."""
    mean_one, mean_other = _window(one), _window(other)
    product, squares = mean_one * mean_other, mean_one**2 + mean_other**2
    variances = _window(one**2 + other**2) - squares
    contrast = (2 * (_window(one * other) - product) + C2) / (variances + C2)
    luminance = (2 * product + C1) / (squares + C1)
    return float(np.mean(luminance * contrast)), float(np.mean(contrast))


def qilv(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the quality index based on local variance of two planes (y, x) on 0..255, such as `luma` gives.

    Aja-Fernandez et al. 2006: with V the variance under the Gaussian window 11 x 11, m and s the mean and the standard
    deviation of V over the image,
    (2 m_I m_J + C1) / (m_I² + m_J² + C1) · (2 s_I s_J + C2) / (s_I² + s_J² + C2) · (s_IJ + C2/2) / (s_I s_J + C2/2).
    In (-1, 1]; 1 where the variances agree, whatever the means. Of two flat planes 1, of a flat and another one 0.
    Covariance and deviations are both over N - 1 (the author's own program divides the first by N, and then an image
    is not quite equal to itself).
    """
    variances = [_local_variance(plane) for plane in (one, other)]
    flat = [bool(variance.max() < FLAT_VARIANCE) for variance in variances]
    if any(flat):
        return float(all(flat))
    (m_i, m_j), (v_i, v_j) = (float(variance.mean()) for variance in variances), variances
    s_i, s_j = (float(variance.std(ddof=1)) for variance in variances)
    s_ij = float(np.sum((v_i - m_i) * (v_j - m_j)) / (v_i.size - 1))
    means = (2 * m_i * m_j + C1) / (m_i**2 + m_j**2 + C1)
    spreads = (2 * s_i * s_j + C2) / (s_i**2 + s_j**2 + C2)
    return means * spreads * (s_ij + C2 / 2) / (s_i * s_j + C2 / 2)


def _local_variance(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return the variance under the window, at places where it fits; the mean goes first, so that little cancels."""
    centred = plane - plane.mean(dtype=np.float64)
    return np.maximum(_window(centred**2) - _window(centred) ** 2, 0)


def _window(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means under the Gaussian window, at places where it fits."""
    means: NDArray[np.float64] = gaussian_filter(plane, WINDOW_SIGMA_PX, radius=WINDOW_RADIUS_PX)
    inner = slice(WINDOW_RADIUS_PX, -WINDOW_RADIUS_PX)
    return means[inner, inner]


def _halve(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2 x 2 px; an odd last row or column is left out."""
    height, width = (length // 2 for length in plane.shape)
    halved: NDArray[np.float64] = plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))
    return halved


def _planes(image: Image) -> list[NDArray[np.float64]]:
    """Return the channels of (y, x, c), or (y, x) alone, in float64."""
    values = image.astype(np.float64)
    return [values] if values.ndim == 2 else list(np.moveaxis(values, -1, 0))
