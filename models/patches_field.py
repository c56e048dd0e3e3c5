"""From a patch of any size to the square that a network sees: its field, at its um per px where both are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import TrainingError
from models.slide_fields import NEAR_ENOUGH

LEAST_SIDE_PX = 32
"""Patches narrower than this show too little to be told apart."""
PLAUSIBLE_MPP = (0.04, 500.0)
"""um per px: a 100x objective at one end, mammograms reduced to thumbnails at the other."""
LARGEST_ENLARGEMENT = 4.0
_ROUNDING_PX = 1e-6


def enlargement(name: str, found_mpp: float, wanted_mpp: float) -> float:
    """Return how many times a patch of `found_mpp` um per px is enlarged to be at `wanted_mpp`.

    Raises
    ------
    TrainingError
        if `found_mpp` is implausible, or more than four times coarser than what is wanted.
    """
    if not PLAUSIBLE_MPP[0] <= found_mpp <= PLAUSIBLE_MPP[1]:
        what = f"{found_mpp:g} um per px is implausible ({PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g})"
        raise TrainingError.about(name, what, "Give the source the true mpp.")
    ratio = found_mpp / wanted_mpp
    if ratio > LARGEST_ENLARGEMENT:
        what = f"at {found_mpp:g} um per px it is {ratio:.3g} times coarser than the network's {wanted_mpp:g}"
        raise TrainingError.about(name, what, "Take finer patches, or train a coarser network.")
    return ratio


def taken_px(name: str, shape: tuple[int, int], field_px: int, ratio: float | None) -> float:
    """Return the side of the centre square of a patch (y, x) that becomes the field.

    Without a ratio (the enlargement that brings it to the network's um per px) it is as large as the patch allows.
    With one, it is what the field spans; within a factor of 1.25 the own px, or the whole patch where it spans less.

    Raises
    ------
    TrainingError
        if the patch is narrower than 32 px, or spans less than 1 / 1.25 of the field.
    """
    height, width = shape
    shortest = min(height, width)
    if shortest < LEAST_SIDE_PX:
        what = f"{width} x {height} px, where patches have {LEAST_SIDE_PX} px a side or more"
        raise TrainingError.about(name, what, "Take it out, or export larger patches.")
    if ratio is None:
        return shortest
    if field_px <= shortest and 1 / NEAR_ENOUGH - 1e-9 <= ratio <= NEAR_ENOUGH + 1e-9:
        return field_px
    wanted = field_px / ratio
    if wanted > shortest * NEAR_ENOUGH + _ROUNDING_PX:
        largest = int(shortest * ratio)
        what = f"{width} x {height} px, where a field of {field_px} px spans {wanted:.4g} px of it"
        raise TrainingError.about(name, what, f"Take a field_px of {largest} or less, or a finer network (mpp).")
    return min(wanted, shortest)


def fit_field(image: NDArray[np.uint8], side_px: float, field_px: int) -> NDArray[np.uint8]:
    """Return the centre square of `side_px` of an image (y, x, 3) as (field_px, field_px, 3).

    Antialiased bicubic (a = -0.5) where the sides differ, the own px where they do not.
    """
    height, width = image.shape[:2]
    if side_px == field_px:
        top, left = (height - field_px) // 2, (width - field_px) // 2
        return image[top : top + field_px, left : left + field_px]
    top_px, left_px = (height - side_px) / 2, (width - side_px) / 2
    box = (left_px, top_px, min(left_px + side_px, width), min(top_px + side_px, height))
    return np.asarray(Image.fromarray(image).resize((field_px, field_px), Image.Resampling.BICUBIC, box))
