"""What a network's offsets say about where one nucleus ends and the next begins.

Offsets run from -1 to 1 through every nucleus, along y and along x (`models.nuclei_channels`). Where they rise, a px
lies within a nucleus; where they fall, two nuclei touch, or one ends. HoVer-Net (Graham et al. 2019) looks for the fall
with a filter of Sobel's along each axis, scaled by the largest value in the picture; the divergence is the same for
borders of every direction, and needs no scale that another tile would not share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

REACH_PX = 5
"""How far `spread` looks."""

_SIGMA_PX = 1.5
# Nuclei are about 20 px wide at 0.25 um/px: offsets rise by 1 in so many px.
_RADIUS_PX = 10.0
# Small nuclei rise faster than large ones, and are no surer.
_MOST = 0.5


def spread(offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map offsets (y, x, 2), y first, to how they spread (y, x): up to 0.5 within nuclei, below 0 between them."""
    along_y, along_x = (_slope(offsets[..., axis], axis) for axis in (0, 1))
    divergence: NDArray[np.float32] = np.minimum((along_y + along_x) * np.float32(_RADIUS_PX), np.float32(_MOST))
    return divergence


def _slope(offset: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The derivative of a smoothed (y, x) along an axis, a px."""
    across: NDArray[np.float32] = ndimage.gaussian_filter1d(offset, _SIGMA_PX, axis=1 - axis, radius=REACH_PX)
    slope: NDArray[np.float32] = ndimage.gaussian_filter1d(across, _SIGMA_PX, axis=axis, order=1, radius=REACH_PX)
    return slope
