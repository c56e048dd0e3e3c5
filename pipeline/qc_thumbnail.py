"""What shows on a thumbnail of about 8 um a pixel: strokes of pens, dirt, and where no tissue is.

Told by the proportions in which light is absorbed, as in `staining`: a fixed set of rules, no histogram of the slide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects

from pipeline.geometry import Frame
from pipeline.staining import USUAL_WHITE, absorbance, stained

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Strokes are wide and long; what is smaller and dark is dirt.
_STROKE_RADIUS_UM = 40.0
_SMALLEST_STROKE_UM2 = 40_000.0
_FRINGE_UM = 24.0
# Optical density of red light, smoothed, above that of the densest nuclei side by side.
_DENSER_RED_THAN_NUCLEI = 1.2
_SMALLEST_DIRT_UM2 = 100.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a thumbnail lets one tell."""

    inks: bool
    """The stain is haematoxylin and eosin, so that inks can be told from it."""
    white: bool
    """There is bare glass to measure from; without any, dirt and black ink cannot be told from a dim lamp."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a thumbnail shows, on its own frame; all masks (y, x)."""

    frame: Frame
    white: tuple[float, float, float]
    """Light through bare glass, RGB."""
    pen: Mask
    dirt: Mask
    outside: Mask
    """Where no tissue is."""
    told: Told


def glance(picture: NDArray[np.uint8], frame: Frame, tissue: Mask | None = None) -> Glance:
    """Look at the thumbnail (y, x, 3) RGB of a slide, which fills `frame`; the tissue on it, where that is known."""
    density, white = absorbance(picture, frame.mpp)
    red, green, blue = (float(value) for value in (np.full(3, USUAL_WHITE) if white is None else white))
    nothing = np.zeros(frame.shape, np.bool_)
    pen = strokes(density, frame.mpp, white_known=white is not None)
    dirt = nothing if white is None else specks(density, frame.mpp) & ~pen
    outside = ~(stained(picture, frame.mpp) if tissue is None else tissue)
    told = Told(haematoxylin_and_eosin(density), white is not None)
    return Glance(frame, (red, green, blue), pen, dirt, outside, told)


def strokes(density: Floats, mpp: float, *, white_known: bool = True) -> Mask:
    """Strokes of blue, green, black and red pens, (y, x), on density (y, x, 3) above the slide's white.

    Haematoxylin and eosin take green most. Blue and green ink take red most, or green least; red ink takes blue as much
    as green; black takes all alike, as a dim lamp does where no glass tells what white is. On slides of other stains
    ink and stain may look alike: only green ink is told.
    """
    total = density.sum(axis=-1)
    red, green, blue = (density[..., c] / np.maximum(total, 1e-6) for c in range(3))
    inks = [(green < 0.29) & (total > 0.5)]
    if haematoxylin_and_eosin(density):
        inks.append((red > 1.04 * green) & (blue < 0.32) & (total > 0.8))
        inks.append((red > 0.85 * green) & (blue < 0.34) & (density[..., 0] > _DENSER_RED_THAN_NUCLEI))
        black = (density.min(axis=-1) > 0.8) & (np.ptp(density, axis=-1) < 0.30 * density.max(axis=-1))
        inks.append(black & white_known)
        inks.append((blue > 0.38) & (red < 0.20) & (total > 2.2))
    found = np.zeros(total.shape, np.bool_)
    for ink in inks:
        found |= _wide(ink, mpp)
    if found.any():
        found = ndimage.distance_transform_edt(~found) <= _FRINGE_UM / mpp
    return np.asarray(found)


def specks(density: Floats, mpp: float) -> Mask:
    """What takes all colours nearly alike and clearly: dust, scratches, rims of bubbles, coverslips, shadows."""
    grey = (density.min(axis=-1) > 0.25) & (np.ptp(density, axis=-1) < 0.18 * density.max(axis=-1))
    return np.asarray(remove_small_objects(grey, max_size=int(_SMALLEST_DIRT_UM2 / mpp**2)), np.bool_)


def haematoxylin_and_eosin(density: Floats) -> bool:
    """Whether a quarter of what absorbs on (y, x, 3) takes green most."""
    total = density.sum(axis=-1)
    absorbing = total > 0.15
    red, green, blue = (density[..., c] / np.maximum(total, 1e-6) for c in range(3))
    pink = absorbing & (green > 0.38) & (red < 0.36) & (blue < 0.38)
    return bool(pink.sum() >= 0.25 * max(1, int(absorbing.sum())))


def _wide(ink: Mask, mpp: float) -> Mask:
    """The parts of a mask that a disc of the stroke's radius fits into, grown back, where they are large."""
    radius_px = _STROKE_RADIUS_UM / mpp
    if not ink.any():
        return ink
    kept = ndimage.distance_transform_edt(ink) > radius_px
    if kept.any():
        kept = ink & (ndimage.distance_transform_edt(~kept) <= 1.5 * radius_px)
    smallest_px = min(_SMALLEST_STROKE_UM2 / mpp**2, 0.01 * ink.size)
    return np.asarray(remove_small_objects(kept, max_size=int(smallest_px)), np.bool_)
