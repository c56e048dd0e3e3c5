"""A plain instance step for measuring a nuclei network: seeds are what is interior and not contour, watershed the rest.

`pipeline.nuclei` is what users run; this one exists so that a training can be judged without the pipeline, and any
other callable from probabilities to labels can take its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

SMOOTHING_PX = 1.0
"""Sigma of the Gaussian that takes chromatin texture out of the seeds, which would split large nuclei."""


@dataclass(frozen=True, slots=True)
class InstanceStep:
    """From class probabilities (y, x, 3) to instance labels (y, x); a callable value."""

    seed_threshold: float = 0.5
    """A pixel is a seed's where interior minus contour lies above this."""
    foreground_threshold: float = 0.5
    """A pixel is nucleus where interior plus contour lies above this."""
    seed_height_px: float = 1.0
    """Depth of the saddle, in the seeds' distance transform, that parts two seeds."""
    least_area_px: int = 16

    def as_dict(self) -> Mapping[str, Any]:
        """Return the parameters, for a bundle's card."""
        return asdict(self)

    def __call__(self, probabilities: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return labels (y, x) of probabilities (y, x, {background, interior, contour})."""
        interior, contour = probabilities[..., 1], probabilities[..., 2]
        foreground = ndimage.binary_fill_holes(interior + contour > self.foreground_threshold)
        certainty = ndimage.gaussian_filter(interior - contour, SMOOTHING_PX)
        seeds = ndimage.binary_fill_holes(certainty > self.seed_threshold) & foreground
        distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(seeds), SMOOTHING_PX)
        markers, _ = ndimage.label(h_maxima(distance, self.seed_height_px) & seeds, np.ones((3, 3)))
        grown = watershed(-distance, markers, mask=seeds)
        whole = watershed(-(interior + 0.5 * contour), grown, mask=foreground)
        areas = np.bincount(whole.ravel())
        labels: NDArray[np.int32] = np.where(areas[whole] < self.least_area_px, 0, whole).astype(np.int32)
        return labels
