"""Which pixels of a thumbnail are stained tissue, by how they absorb light compared with the slide's own white.

Optical density is -ln(light / white) a channel (Beer-Lambert), so pale and dark tissue of one stain differ in its sum
and share its proportions; glass, dust, shadows and black ink absorb all channels alike, coloured inks in proportions
that no tissue stain has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.local_means import Room, deviation, gaussian_weights, rows_around, strips, weighted_mean
from pipeline.mask_shapes import eroded, grown, labelled, solid
from pipeline.nearest import near

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Colours = NDArray[np.uint8]

# On the slide.
_SMOOTHING_UM = 6.0
_NEIGHBOURHOOD_UM = 40.0
_BRIDGED_GAP_UM = 40.0
_FRINGE_UM = 20.0
_SMALLEST_TISSUE_UM2 = 4_000.0
_LARGEST_HOLE_UM2 = 20_000.0

# Optical density by which the channels of tissue differ; where no glass is in sight to tell its white, density in all
# of them together counts as well.
_LEAST_COLOUR = 0.05
_LEAST_DENSITY = 0.6

# Grey levels. Glass is bright, hardly coloured and flat.
_GLASS_MIN, _GLASS_MAX_CHROMA, _GLASS_MAX_DEVIATION = 180, 30, 3.0
_MOTTLED_DEVIATION = 3.0
_LEAST_GLASS_SHARE = 0.01
USUAL_WHITE = 240.0
_PURE_WHITE = 254.5
_BLACK_MAX, _BLACK_MAX_CHROMA = 40, 15
_OFFSET = 8.0


def stained(picture: NDArray[np.uint8], mpp: float) -> Mask:
    """Return where (y, x, 3) RGB of `mpp` um a pixel is stained tissue, (y, x)."""
    colours = _planes(picture)
    light = _smoothed(colours, mpp)
    white = glass_white(colours, light, mpp)
    absorbing = _mottled(colours, mpp)
    pink_px, strange = 0, np.empty_like(absorbing)
    for rows, density in _densities(light, white):
        absorbs = absorbing[rows]
        absorbs |= spread(density) > _LEAST_COLOUR
        if white is None:
            absorbs |= over_channels(np.add, density) > _LEAST_DENSITY
        absorbs &= (over_channels(np.maximum, light[:, rows]) >= _BLACK_MAX) | (
            spread(light[:, rows]) >= _BLACK_MAX_CHROMA
        )
        pink, strange[rows] = _told_by_colour(density, absorbs)
        pink_px += int(pink.sum())
    if pink_px >= 0.25 * absorbing.sum() and strange.any():
        _leave_out(absorbing, strange, mpp)
    return _tidied(absorbing, mpp)


def absorbance(picture: NDArray[np.uint8], mpp: float) -> tuple[Floats, Floats | None]:
    """Return the optical density (3, y, x) of smoothed light, and the white; None where a usual one stands in."""
    colours = _planes(picture)
    light = _smoothed(colours, mpp)
    white = glass_white(colours, light, mpp)
    for rows, density in _densities(light, white):
        light[:, rows] = density
    return light, white


def _densities(light: Floats, white: Floats | None) -> Iterator[tuple[slice, Floats]]:
    """Rows and the optical density (3, y, x) of light in them; each good until the next."""
    reference = np.full(3, USUAL_WHITE, np.float32) if white is None else white
    room = Room()
    for rows in strips(light.shape[1:]):
        density = np.add(light[:, rows], _OFFSET, out=room("density", light[:, rows].shape, np.float32))
        np.divide((reference + _OFFSET)[:, np.newaxis, np.newaxis], density, out=density)
        yield rows, np.maximum(np.log(density, out=density), 0, out=density)


def glass_white(colours: Colours, light: Floats, mpp: float) -> Floats | None:
    """Return the RGB of bare glass, the median light where it is bright, flat and hardly coloured; None without any.

    Pure white is what readers put where nothing was scanned; it counts only where there is no other glass. Colours and
    light are (3, y, x).
    """
    glass, pure = np.empty((2, *colours.shape[1:]), np.bool_)
    side_px, room = _neighbourhood_px(mpp), Room()
    for rows in strips(glass.shape, side_px // 2):
        grey = over_channels(np.add, rows_around(colours, rows, side_px // 2).astype(np.float32))
        grey /= 3
        least = over_channels(np.minimum, light[:, rows])
        flat = deviation(grey, side_px, room) < _GLASS_MAX_DEVIATION
        glass[rows] = flat & (least > _GLASS_MIN) & (spread(light[:, rows]) < _GLASS_MAX_CHROMA)
        pure[rows] = least >= _PURE_WHITE
    for bright in (glass & ~pure, glass):
        if bright.mean() >= _LEAST_GLASS_SHARE:
            return np.array([_median(plane, bright) for plane in light])
    return None


def _median(plane: Floats, among: Mask) -> np.float32:
    """Return the median of some pixels: of most it is enough to know that they lie below it, or above."""
    step = 1 + math.isqrt(plane.size) // 200
    few = plane[::step, ::step][among[::step, ::step]]
    low, high = np.quantile(few, (0.47, 0.53)) if len(few) else (0, 0)
    amid = plane[among & (plane >= low) & (plane <= high)]
    count, below = np.count_nonzero(among), np.count_nonzero(among & (plane < low))
    ranks = [(count - 1) // 2 - below, count // 2 - below]
    if ranks[0] < 0 or ranks[1] >= len(amid):
        return np.float32(np.median(plane[among]))
    return np.float32(np.partition(amid, ranks)[ranks].mean())


def _mottled(colours: Colours, mpp: float) -> Mask:
    """Return where the colour changes from place to place: few nuclei in pale stroma, white on the whole."""
    mottled = np.empty(colours.shape[1:], np.bool_)
    side_px, room = _neighbourhood_px(mpp), Room()
    for rows in strips(mottled.shape, side_px // 2):
        chroma = spread(rows_around(colours, rows, side_px // 2)).astype(np.float32)
        mottled[rows] = deviation(chroma, side_px, room) > _MOTTLED_DEVIATION
    return eroded(mottled, _NEIGHBOURHOOD_UM / 2 / mpp)


def _neighbourhood_px(mpp: float) -> int:
    return max(3, 2 * round(_NEIGHBOURHOOD_UM / mpp / 2) + 1)


def _planes(picture: NDArray[np.uint8]) -> Colours:
    """Return (3, y, x) of (y, x, 3); numpy takes ten times as long to go along a short axis."""
    return np.ascontiguousarray(np.moveaxis(picture, -1, 0))


def _smoothed(colours: Colours, mpp: float) -> Floats:
    weights, room = gaussian_weights(_SMOOTHING_UM / mpp), Room()
    margin = len(weights) - 1
    light = np.empty(colours.shape, np.float32)
    for rows in strips(colours.shape[1:], margin):
        for plane, smooth in zip(rows_around(colours, rows, margin), light, strict=True):
            weighted_mean(plane, weights, smooth[rows], room)
    return light


def _told_by_colour(density: Floats, absorbing: Mask) -> tuple[Mask, Mask]:
    """Return where haematoxylin and eosin absorb, and where inks, dust and shadows do."""
    total = over_channels(np.add, density)
    red, green, blue = density / np.maximum(total, 1e-6)
    pink = absorbing & (green > 0.38) & (red < 0.36) & (blue < 0.38)
    return pink, absorbing & ((green < 0.345) | (blue > 0.40) | (red > 0.40)) & (total > 0.15)


def _leave_out(absorbing: Mask, strange: Mask, mpp: float) -> None:
    """Take from a mask where another colour than the slide's tissue absorbs: inks, dust, shadows, their faint fringes.

    Told only on slides of haematoxylin and eosin (a quarter of what absorbs takes green most, red and blue less): what
    is foreign to them is native to other stains. What tissue surrounds is tissue all the same: pigment, calcium, pen.
    """
    fringe_px = _FRINGE_UM / mpp
    around = near(strange, 2 * fringe_px)
    labels, count = labelled(strange)
    owner = labels[around.nearest]
    fringed = around.distance_px <= fringe_px
    rim = np.bincount(owner[~fringed], minlength=count + 1)
    on_tissue = absorbing.reshape(-1)[around.place]
    tissue = np.bincount(owner[~fringed & on_tissue], minlength=count + 1)
    inside_tissue = 2 * tissue > rim  # a patch without a rim, amid others, has no tissue around it
    absorbing.reshape(-1)[around.place[fringed & ~inside_tissue[owner]]] = False


def _tidied(mask: Mask, mpp: float) -> Mask:
    """Bridge gaps, fill small holes (not what the picture's border cuts: that may be the open), drop specks."""
    reach_px = _BRIDGED_GAP_UM / 2 / mpp
    bridged = eroded(grown(mask, reach_px), reach_px)
    smallest_px = min(_SMALLEST_TISSUE_UM2 / mpp**2, 0.01 * mask.size)
    return solid(bridged, int(_LARGEST_HOLE_UM2 / mpp**2), int(smallest_px))


def over_channels(combine: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
    """Combine the channels of (c, y, x), first to last."""
    return np.asarray(reduce(combine, values))


def spread(values: NDArray[Any]) -> NDArray[Any]:
    """Return the brightest channel of (c, y, x) less the darkest."""
    return np.asarray(over_channels(np.maximum, values) - over_channels(np.minimum, values))
