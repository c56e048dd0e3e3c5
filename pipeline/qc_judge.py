"""From what was measured of every cell to what is blurred, folded or dirty. How it was tried: quality-control.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects

from pipeline.qc_measure import COARSE, DENSITY_RGB, DIRT_SHARE, FINE, MIDDLE

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A cell is judged when at least this share of it is tissue.
LEAST_TISSUE = 0.5

# Blur is judged over squares of so many um: a cell holds too few edges to be sure of.
_NEIGHBOURHOOD_UM = 80.0
_SMALLEST_BLUR_UM2 = 6_000.0
# Coarser pixels than this cannot show whether nuclei are sharp.
BLUR_MOST_MPP = 0.8
# Squared grey levels of the finest octave that come of noise and compression, not of tissue.
_NOISE = 0.06
# Sharp tissue has at least these proportions of detail; a Gaussian of 1 um takes a quarter or less of it.
_LEAST_FINE_TO_MIDDLE = 1 / 4
_LEAST_FINE_TO_COARSE = 1 / 18
# Without any structure of some um there is nothing that could be sharp or blurred.
_LEAST_COARSE = 0.35**2

# A fold is this many times as dense as nine tenths of the slide's tissue, or as three quarters of it, whichever is
# less; and this many times as dense as the tissue around it.
_FOLD_TO_DENSEST, _FOLD_TO_DENSE, _FOLD_TO_AROUND = 1.25, 2.0, 1.4
_FOLD_LEAST_DENSITY = 0.9
_SMALLEST_FOLD_UM2 = 2_000.0
_AROUND_UM = 100.0

_LEAST_DIRT_SHARE = 0.10


def sharpness(measures: NDArray[np.float32], judged: Mask, mpp: float) -> Floats:
    """How much more fine detail there is than the least that sharp tissue has, as a logarithm of 2; (y, x).

    Below 0 is blurred. NaN where nothing can be told. `mpp` is that of the cells.
    """
    side = max(1, 2 * round(_NEIGHBOURHOOD_UM / mpp / 2) - 1)
    count = ndimage.uniform_filter(judged.astype(np.float64), side, mode="constant")
    fine, middle, coarse = (
        ndimage.uniform_filter(np.where(judged, measures[..., c], 0.0).astype(np.float64), side, mode="constant")
        / np.maximum(count, 1e-9)
        for c in (FINE, MIDDLE, COARSE)
    )
    tellable = judged & (coarse > _LEAST_COARSE)
    least = np.finfo(np.float64).tiny
    by_middle = np.maximum(fine - _NOISE, 1e-6) / np.maximum(middle, least) / _LEAST_FINE_TO_MIDDLE
    by_coarse = np.maximum(fine, 1e-6) / np.maximum(coarse, least) / _LEAST_FINE_TO_COARSE
    return np.asarray(np.where(tellable, np.log2(np.minimum(by_middle, by_coarse)), np.nan))


def blurred(sharp: Floats, mpp: float) -> Mask:
    """Where tissue is out of focus, from `sharpness`; specks left out."""
    return _without_specks(np.nan_to_num(sharp, nan=1.0) < 0, _SMALLEST_BLUR_UM2, mpp)


def folded(measures: NDArray[np.float32], judged: Mask, mpp: float) -> Mask:
    """Where tissue is so much denser than the slide's own, and than what lies around it, that it must lie double."""
    density = np.where(judged, np.maximum(measures[..., DENSITY_RGB], 0).sum(axis=-1), 0.0)
    if not judged.any():
        return judged
    dense, densest = np.quantile(density[judged], [0.75, 0.9])
    least = max(min(_FOLD_TO_DENSEST * densest, _FOLD_TO_DENSE * dense), _FOLD_LEAST_DENSITY)
    heart = judged & (ndimage.median_filter(density, 3, mode="constant") > least)  # narrower than a fold is
    whole = ndimage.binary_propagation(heart, np.ones((3, 3)), mask=heart | (judged & (density > least)))
    candidates = _without_specks(whole, _SMALLEST_FOLD_UM2, mpp)
    labels, count = ndimage.label(candidates)
    if not count:
        return candidates
    away, nearest = ndimage.distance_transform_edt(~candidates, return_indices=True)
    ring = np.where(judged & ~candidates & (away <= _AROUND_UM / mpp), labels[tuple(nearest)], 0)
    numbers = np.arange(1, count + 1)
    inside, around = (
        ndimage.sum(density, where, numbers) / np.maximum(np.bincount(where.ravel(), minlength=count + 1)[1:], 1)
        for where in (labels, ring)
    )
    stands_out = (around > 0) & (inside > _FOLD_TO_AROUND * around)
    return np.asarray(np.concatenate([[False], stands_out])[labels])


def dirty(measures: NDArray[np.float32]) -> Mask:
    """Where dark, colourless matter covers a clear part of a cell."""
    return np.asarray(np.nan_to_num(measures[..., DIRT_SHARE]) >= _LEAST_DIRT_SHARE)


def _without_specks(mask: Mask, smallest_um2: float, mpp: float) -> Mask:
    closed = ndimage.binary_closing(mask, np.ones((3, 3)), border_value=0) | mask
    return np.asarray(remove_small_objects(closed, max_size=int(smallest_um2 / mpp**2), connectivity=2), np.bool_)
