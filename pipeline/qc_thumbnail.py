"""What shows on a thumbnail of about 8 um a pixel: strokes of pens, dirt, and where no tissue is.

Told by the proportions in which light is absorbed, as in `staining`: a fixed set of rules, no histogram of the slide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Frame
from pipeline.local_means import strips
from pipeline.mask_shapes import eroded, grown, without_specks
from pipeline.staining import USUAL_WHITE, absorbance, over_channels, spread, stained

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
    told = Told(haematoxylin_and_eosin(density), white is not None)
    pen = strokes(density, frame.mpp, told)
    dirt = nothing if white is None else specks(density, frame.mpp) & ~pen
    outside = ~(stained(picture, frame.mpp) if tissue is None else tissue)
    return Glance(frame, (red, green, blue), pen, dirt, outside, told)


def strokes(density: Floats, mpp: float, told: Told) -> Mask:
    """Strokes of blue, green, black and red pens, (y, x), on density (3, y, x) above the slide's white.

    Haematoxylin and eosin take green most. Blue and green ink take red most, or green least; red ink takes blue as much
    as green; black takes all alike, as a dim lamp does where no glass tells what white is. On slides of other stains
    ink and stain may look alike: only green ink is told.
    """
    inks = np.zeros((5, *density.shape[1:]), np.bool_)
    for rows in strips(inks.shape[1:]):
        for ink, found in zip(inks, _inks(density[:, rows], told), strict=False):
            ink[rows] = found
    pen = np.zeros(inks.shape[1:], np.bool_)
    for ink in inks:
        pen |= _wide(ink, mpp)
    return grown(pen, _FRINGE_UM / mpp)


def _inks(density: Floats, told: Told) -> Iterator[Mask]:
    """Where each ink that can be told is, narrow or wide."""
    total, (red, green, blue) = _proportions(density)
    yield (green < 0.29) & (total > 0.5)
    if told.inks:
        yield (red > 1.04 * green) & (blue < 0.32) & (total > 0.8)
        yield (red > 0.85 * green) & (blue < 0.34) & (density[0] > _DENSER_RED_THAN_NUCLEI)
        yield (blue > 0.38) & (red < 0.20) & (total > 2.2)
        if told.white:
            yield (over_channels(np.minimum, density) > 0.8) & _grey(density, 0.30)


def specks(density: Floats, mpp: float) -> Mask:
    """What takes all colours nearly alike and clearly: dust, scratches, rims of bubbles, coverslips, shadows."""
    dark = np.empty(density.shape[1:], np.bool_)
    for rows in strips(dark.shape):
        dark[rows] = (over_channels(np.minimum, density[:, rows]) > 0.25) & _grey(density[:, rows], 0.18)
    return without_specks(dark, int(_SMALLEST_DIRT_UM2 / mpp**2))


def haematoxylin_and_eosin(density: Floats) -> bool:
    """Whether a quarter of what absorbs on (3, y, x) takes green most."""
    absorbing_px = pink_px = 0
    for rows in strips(density.shape[1:]):
        total, (red, green, blue) = _proportions(density[:, rows])
        absorbing = total > 0.15
        absorbing_px += int(absorbing.sum())
        pink_px += int((absorbing & (green > 0.38) & (red < 0.36) & (blue < 0.38)).sum())
    return pink_px >= 0.25 * max(1, absorbing_px)


def _proportions(density: Floats) -> tuple[Floats, Floats]:
    """The density (y, x) of all channels together, and the share (3, y, x) that each has of it."""
    total = over_channels(np.add, density)
    return total, density / np.maximum(total, 1e-6)


def _grey(density: Floats, most: float) -> Mask:
    """Where the channels differ by less than a share of the densest."""
    return np.asarray(spread(density) < most * over_channels(np.maximum, density))


def _wide(ink: Mask, mpp: float) -> Mask:
    """The parts of a mask that a disc of the stroke's radius fits into, grown back, where they are large."""
    radius_px = _STROKE_RADIUS_UM / mpp
    if not ink.any():
        return ink
    kept = ink & grown(eroded(ink, radius_px), 1.5 * radius_px)
    smallest_px = min(_SMALLEST_STROKE_UM2 / mpp**2, 0.01 * ink.size)
    return without_specks(kept, int(smallest_px))
