"""Which pixels of a thumbnail are stained tissue, by how they absorb light compared with the slide's own white.

Optical density is -ln(light / white) a channel (Beer-Lambert), so pale and dark tissue of one stain differ in its sum
and share its proportions; glass, dust, shadows and black ink absorb all channels alike, coloured inks in proportions
that no tissue stain has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects
from skimage.segmentation import clear_border

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Lengths and areas on the slide.
_SMOOTHING_UM = 6.0
_NEIGHBOURHOOD_UM = 40.0
_SMALLEST_TISSUE_UM2 = 4_000.0
_LARGEST_HOLE_UM2 = 20_000.0

# Optical density: tissue differs by this much between its channels, or is this dense in all of them.
_LEAST_COLOUR = 0.05
_LEAST_DENSITY_SUM = 0.6
# In grey levels. Glass is bright, hardly coloured and flat; without any in sight, white is taken as 240.
_GLASS_MIN, _GLASS_MAX_CHROMA, _GLASS_MAX_DEVIATION = 180, 30, 2.0
_LEAST_GLASS_SHARE = 0.01
_DEFAULT_WHITE = 240.0
_BLACK_MAX, _BLACK_MAX_CHROMA = 40, 15
_OFFSET = 8.0


def stained(picture: NDArray[np.uint8], mpp: float) -> Mask:
    """Return where (y, x, 3) RGB of `mpp` um a pixel is stained tissue, (y, x)."""
    light = np.stack(
        [
            ndimage.gaussian_filter(picture[..., c].astype(np.float32), _SMOOTHING_UM / mpp, mode="nearest")
            for c in range(3)
        ],
        axis=-1,
    )
    density = np.maximum(np.log((white_of(light, mpp) + _OFFSET) / (light + _OFFSET)), 0)
    colour, total = np.ptp(density, axis=-1), density.sum(axis=-1)
    black = (light.max(axis=-1) < _BLACK_MAX) & (np.ptp(light, axis=-1) < _BLACK_MAX_CHROMA)
    absorbing = ((colour > _LEAST_COLOUR) | (total > _LEAST_DENSITY_SUM)) & ~black
    return _tidied(absorbing & ~_foreign(density, absorbing), mpp)


def white_of(light: Floats, mpp: float) -> Floats:
    """Return the RGB of bare glass: the median of what is bright, flat and hardly coloured, or a usual white."""
    grey = light.mean(axis=-1)
    side = max(3, 2 * round(_NEIGHBOURHOOD_UM / mpp / 2) + 1)
    mean = ndimage.uniform_filter(grey, side, mode="nearest")
    variance = ndimage.uniform_filter(grey * grey, side, mode="nearest") - mean * mean
    flat = variance < _GLASS_MAX_DEVIATION**2
    glass = flat & (light.min(axis=-1) > _GLASS_MIN) & (np.ptp(light, axis=-1) < _GLASS_MAX_CHROMA)
    if glass.mean() < _LEAST_GLASS_SHARE:
        return np.full(3, _DEFAULT_WHITE, np.float32)
    white: Floats = np.median(light[glass], axis=0)
    return white


def _foreign(density: Floats, absorbing: Mask) -> Mask:
    """Return the absorbing pixels of another colour than the slide's tissue: inks, dust, shadows, scanner borders.

    Told only on slides of haematoxylin and eosin (a quarter of what absorbs takes green most, red and blue less): what
    is foreign to them is native to other stains. What tissue surrounds is tissue all the same: pigment, calcium, pen.
    """
    total = density.sum(axis=-1)
    red, green, blue = (density[..., c] / np.maximum(total, 1e-6) for c in range(3))
    pink = absorbing & (green > 0.38) & (red < 0.36) & (blue < 0.40)
    if pink.sum() < 0.25 * absorbing.sum():
        return np.zeros_like(absorbing)
    foreign: Mask = absorbing & ((green < 0.345) | (blue > 0.42) | (red > 0.40)) & (total > 0.15)
    labels, count = ndimage.label(foreign)
    if not count:
        return foreign
    rim = ndimage.grey_dilation(labels, size=3) * ~foreign
    inside_tissue = ndimage.mean(absorbing & ~foreign, rim, np.arange(1, count + 1)) > 0.5
    foreign &= ~np.concatenate([[False], inside_tissue])[labels]
    return foreign


def _tidied(mask: Mask, mpp: float) -> Mask:
    """Fill small holes (not what the picture's border cuts: that may be the open), then drop specks."""
    holes = clear_border(~mask)
    small_holes = holes & ~remove_small_objects(holes, max_size=int(_LARGEST_HOLE_UM2 / mpp**2))
    smallest_px = min(_SMALLEST_TISSUE_UM2 / mpp**2, 0.01 * mask.size)
    return np.asarray(remove_small_objects(mask | small_holes, max_size=int(smallest_px)), np.bool_)
