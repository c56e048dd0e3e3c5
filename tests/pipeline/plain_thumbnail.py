"""Tissue, pens and dirt on a thumbnail by scipy and scikit-image alone, each step over the whole picture at once.

What `pipeline.staining` and `pipeline.qc_thumbnail` say must be this, pixel for pixel; pictures are (y, x, 3) RGB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects
from skimage.segmentation import clear_border

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def plainly_stained(picture: Pixels, mpp: float) -> Mask:
    light, white, density = absorbed(picture, mpp)
    chroma = np.ptp(picture, axis=-1).astype(np.float32)
    absorbing = (np.ptp(density, axis=-1) > 0.05) | eroded(deviation(chroma, mpp) > 3, 20 / mpp)
    if white is None:
        absorbing |= density.sum(axis=-1) > 0.6
    absorbing &= (light.max(axis=-1) >= 40) | (np.ptp(light, axis=-1) >= 15)
    bridged = eroded(grown(absorbing & ~foreign(density, absorbing, mpp), 20 / mpp), 20 / mpp)
    return solid(bridged, int(20_000 / mpp**2), int(min(4_000 / mpp**2, 0.01 * bridged.size)))


def absorbed(picture: Pixels, mpp: float) -> tuple[Floats, Floats | None, Floats]:
    """Smoothed light, the white (None without glass), and the density of each."""
    light = ndimage.gaussian_filter(picture.astype(np.float32), (6 / mpp, 6 / mpp, 0), mode="nearest")
    grey = picture.astype(np.float32).sum(axis=-1) / np.float32(3)
    least = light.min(axis=-1)
    glass = (deviation(grey, mpp) < 3) & (least > 180) & (np.ptp(light, axis=-1) < 30)
    white = next(
        (np.median(light[some], axis=0) for some in (glass & (least < 254.5), glass) if some.mean() >= 0.01), None
    )
    reference = np.full(3, 240, np.float32) if white is None else white
    return light, white, np.maximum(np.log((reference + 8.0) / (light + 8.0)), 0)


def foreign(density: Floats, absorbing: Mask, mpp: float) -> Mask:
    total = density.sum(axis=-1)
    red, green, blue = np.moveaxis(density / np.maximum(total, 1e-6)[..., np.newaxis], -1, 0)
    pink = absorbing & (green > 0.38) & (red < 0.36) & (blue < 0.38)
    core = absorbing & ((green < 0.345) | (blue > 0.40) | (red > 0.40)) & (total > 0.15)
    if pink.sum() < 0.25 * absorbing.sum() or not core.any():
        return np.zeros_like(absorbing)
    labels, count = ndimage.label(core)
    away, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
    owner = labels[tuple(nearest)]
    fringed = away <= 20 / mpp
    rim = np.where(~fringed & (away <= 2 * (20 / mpp)), owner, 0)
    with np.errstate(invalid="ignore"):
        inside_tissue = ndimage.mean(absorbing, rim, np.arange(1, count + 1)) > 0.5
    return np.asarray(fringed & ~np.concatenate([[False], inside_tissue])[owner])


def plain_strokes(picture: Pixels, mpp: float) -> Mask:
    _, white, density = absorbed(picture, mpp)
    total = density.sum(axis=-1)
    red, green, blue = np.moveaxis(density / np.maximum(total, 1e-6)[..., np.newaxis], -1, 0)
    pink = (total > 0.15) & (green > 0.38) & (red < 0.36) & (blue < 0.38)
    inks = [(green < 0.29) & (total > 0.5)]
    if pink.sum() >= 0.25 * max(1, int((total > 0.15).sum())):
        inks.append((red > 1.04 * green) & (blue < 0.32) & (total > 0.8))
        inks.append((red > 0.85 * green) & (blue < 0.34) & (density[..., 0] > 1.2))
        inks.append((blue > 0.38) & (red < 0.20) & (total > 2.2))
        black = (density.min(axis=-1) > 0.8) & (np.ptp(density, axis=-1) < 0.30 * density.max(axis=-1))
        inks.append(black & (white is not None))
    smallest = int(min(40_000 / mpp**2, 0.01 * total.size))
    wide = (ink & grown(eroded(ink, 40 / mpp), 60 / mpp) for ink in inks)
    return grown(np.any([remove_small_objects(ink, max_size=smallest) for ink in wide], axis=0), 24 / mpp)


def plain_specks(picture: Pixels, mpp: float) -> Mask:
    density = absorbed(picture, mpp)[2]
    grey = (density.min(axis=-1) > 0.25) & (np.ptp(density, axis=-1) < 0.18 * density.max(axis=-1))
    return np.asarray(remove_small_objects(grey, max_size=int(100 / mpp**2)))


def deviation(values: Floats, mpp: float) -> Floats:
    side = max(3, 2 * round(40 / mpp / 2) + 1)
    mean = ndimage.uniform_filter(values, side, mode="nearest")
    variance = ndimage.uniform_filter(values * values, side, mode="nearest") - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def grown(mask: Mask, reach_px: float) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(~mask) <= reach_px) if mask.any() else mask


def eroded(mask: Mask, reach_px: float) -> Mask:
    return mask if mask.all() else ~grown(~mask, reach_px)


def solid(mask: Mask, largest_hole_px: int, smallest_px: int) -> Mask:
    holes = clear_border(~mask)
    filled = mask | (holes & ~remove_small_objects(holes, max_size=largest_hole_px))
    return np.asarray(remove_small_objects(filled, max_size=smallest_px))
