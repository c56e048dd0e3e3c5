"""Which pixels of a thumbnail are stained tissue, by how they absorb light compared with the slide's own white.

Optical density is -ln(light / white) a channel (Beer-Lambert), so pale and dark tissue of one stain differ in its sum
and share its proportions; glass, dust, shadows and black ink absorb all channels alike, coloured inks in proportions
that no tissue stain has.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects
from skimage.segmentation import clear_border

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Up to here a mask is grown by a few shifts, faster than by the distances of all its pixels: on all large slides,
# whose masks are the coarse ones.
_REACH_BY_SHIFTS_PX = 4.0

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
    light = _smoothed(picture, mpp)
    white = glass_white(picture, light, mpp)
    density = _density(light, white)
    absorbing = (_spread(density) > _LEAST_COLOUR) | _mottled(picture, mpp)
    if white is None:
        absorbing |= _over_channels(np.add, density) > _LEAST_DENSITY
    absorbing &= (_over_channels(np.maximum, light) >= _BLACK_MAX) | (_spread(light) >= _BLACK_MAX_CHROMA)
    return _tidied(absorbing & ~_foreign(density, absorbing, mpp), mpp)


def absorbance(picture: NDArray[np.uint8], mpp: float) -> tuple[Floats, Floats | None]:
    """Return the optical density (y, x, 3) of smoothed light, and the white; None where a usual one stands in."""
    light = _smoothed(picture, mpp)
    white = glass_white(picture, light, mpp)
    return _density(light, white), white


def _density(light: Floats, white: Floats | None) -> Floats:
    reference = np.full(3, USUAL_WHITE, np.float32) if white is None else white
    return np.asarray(np.maximum(np.log((reference + _OFFSET) / (light + _OFFSET)), 0))


def glass_white(picture: NDArray[np.uint8], light: Floats, mpp: float) -> Floats | None:
    """Return the RGB of bare glass, the median light where it is bright, flat and hardly coloured; None without any.

    Pure white is what readers put where nothing was scanned; it counts only where there is no other glass.
    """
    grey = np.asarray(_over_channels(np.add, picture.astype(np.float32)) / np.float32(3), np.float32)
    least = _over_channels(np.minimum, light)
    glass = (_deviation(grey, mpp) < _GLASS_MAX_DEVIATION) & (least > _GLASS_MIN) & (_spread(light) < _GLASS_MAX_CHROMA)
    for bright in (glass & (least < _PURE_WHITE), glass):
        if bright.mean() >= _LEAST_GLASS_SHARE:
            white: Floats = np.median(light[bright], axis=0)
            return white
    return None


def _mottled(picture: NDArray[np.uint8], mpp: float) -> Mask:
    """Return where the colour changes from place to place: few nuclei in pale stroma, white on the whole."""
    chroma = _spread(picture).astype(np.float32)
    return _eroded(_deviation(chroma, mpp) > _MOTTLED_DEVIATION, _NEIGHBOURHOOD_UM / 2 / mpp)


def _deviation(values: Floats, mpp: float) -> Floats:
    """Return the standard deviation of (y, x) values over the neighbourhood of each."""
    side_px = max(3, 2 * round(_NEIGHBOURHOOD_UM / mpp / 2) + 1)
    mean = ndimage.uniform_filter(values, side_px, mode="nearest")
    variance = ndimage.uniform_filter(values * values, side_px, mode="nearest") - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def _smoothed(picture: NDArray[np.uint8], mpp: float) -> Floats:
    sigma_px = _SMOOTHING_UM / mpp
    return np.asarray(ndimage.gaussian_filter(picture.astype(np.float32), (sigma_px, sigma_px, 0), mode="nearest"))


def _foreign(density: Floats, absorbing: Mask, mpp: float) -> Mask:
    """Return where another colour than the slide's tissue absorbs: inks, dust, shadows, and their faint fringes.

    Told only on slides of haematoxylin and eosin (a quarter of what absorbs takes green most, red and blue less): what
    is foreign to them is native to other stains. What tissue surrounds is tissue all the same: pigment, calcium, pen.
    """
    total = _over_channels(np.add, density)
    red, green, blue = (density[..., c] / np.maximum(total, 1e-6) for c in range(3))
    pink = absorbing & (green > 0.38) & (red < 0.36) & (blue < 0.38)
    core: Mask = absorbing & ((green < 0.345) | (blue > 0.40) | (red > 0.40)) & (total > 0.15)
    if pink.sum() < 0.25 * absorbing.sum() or not core.any():
        return np.zeros_like(absorbing)
    labels, count = ndimage.label(core)
    away, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
    fringe_px = _FRINGE_UM / mpp
    fringed = away <= fringe_px
    owner = labels[tuple(nearest)]
    rim = np.where(~fringed & (away <= 2 * fringe_px), owner, 0)
    with np.errstate(invalid="ignore"):  # a patch without a rim, amid others, has no tissue around it
        inside_tissue = ndimage.mean(absorbing, rim, np.arange(1, count + 1)) > 0.5
    return np.asarray(fringed & ~np.concatenate([[False], inside_tissue])[owner])


def _tidied(mask: Mask, mpp: float) -> Mask:
    """Bridge gaps, fill small holes (not what the picture's border cuts: that may be the open), drop specks."""
    reach_px = _BRIDGED_GAP_UM / 2 / mpp
    bridged = _eroded(_grown(mask, reach_px), reach_px)
    holes = clear_border(~bridged)
    small_holes = holes & ~remove_small_objects(holes, max_size=int(_LARGEST_HOLE_UM2 / mpp**2))
    smallest_px = min(_SMALLEST_TISSUE_UM2 / mpp**2, 0.01 * mask.size)
    return np.asarray(remove_small_objects(bridged | small_holes, max_size=int(smallest_px)), np.bool_)


def _over_channels(combine: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
    """Combine the channels of (y, x, c), first to last; numpy takes ten times as long to go along a short axis."""
    return np.asarray(reduce(combine, np.moveaxis(values, -1, 0)))


def _spread(values: NDArray[Any]) -> NDArray[Any]:
    """Return the brightest channel less the darkest."""
    return np.asarray(_over_channels(np.maximum, values) - _over_channels(np.minimum, values))


def _grown(mask: Mask, reach_px: float) -> Mask:
    if not mask.any():
        return mask
    if reach_px > _REACH_BY_SHIFTS_PX:
        return np.asarray(ndimage.distance_transform_edt(~mask) <= reach_px)
    height, width = mask.shape
    grown = mask.copy()
    reach = int(reach_px)
    for down in range(min(reach, height - 1) + 1):
        for right in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            if down**2 + right**2 <= reach_px**2:
                here = slice(max(0, right), width + min(0, right))
                there = slice(max(0, -right), width + min(0, -right))
                grown[down:, here] |= mask[: height - down, there]
                grown[: height - down, there] |= mask[down:, here]
    return grown


def _eroded(mask: Mask, reach_px: float) -> Mask:
    """Undo `_grown`; what lies beyond the picture does not erode it."""
    if mask.all():
        return mask
    return ~_grown(~mask, reach_px)
