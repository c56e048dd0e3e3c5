"""From a network's probabilities to whole nuclei, each found once, the same in every tile that sees it.

The steps are the usual ones of a {background, interior, contour} network (DCAN, Chen et al. 2016): interiors are
seeds, split at necks by the maxima of their distance transform, then grown over the contour to the foreground's edge.
What is not usual is that **every step is local**: a nucleus is decided by the probabilities at most
`NucleiParameters.halo_px` away from the core that owns it, and by nothing else, so that tiles of any size give the same
nuclei to the bit. docs/explanation/nuclei.md has the argument.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import nuclei_offsets
from pipeline.errors import ConfigError, SlideError
from pipeline.nuclei_enclosed import fill_enclosed, without_pinholes
from pipeline.nuclei_regions import Labels, extents_of, renumbered
from pipeline.nuclei_seeds import EROSION_REACH_PX, grow, separate
from pipeline.nuclei_smoothing import TRUNCATE, smoothed

INTERIOR, CONTOUR = 1, 2
_OFFSETS = 2  # the last two channels, where there are more than three


class NotProbabilities(SlideError, ValueError):
    """A network gave something else than probabilities."""


@dataclass(frozen=True, slots=True)
class NucleiParameters:
    """How probabilities become nuclei. Lengths are in px of the network's output; the defaults suit 0.25 um/px."""

    smoothing_px: float = 1.0
    """Standard deviation of the Gaussian that probabilities are smoothed with; 0 leaves them."""
    foreground_threshold: float = 0.5
    """A pixel is nucleus when interior + contour exceeds this."""
    seed_threshold: float = 0.0
    """A pixel of the foreground is a seed when interior - contour, and what offsets add, exceeds this."""
    offsets_weight: float = 2.0
    """Weight of offsets in that sum, where a network has them (`nuclei_offsets.spread`)."""
    max_hole_px: int = 12
    """A hole in a seed is filled before the seed is looked at, unless it is longer along y or x."""
    seed_height_px: float = 2.0
    """h of the h-maxima: two humps of the distance transform are two nuclei when a saddle this far below parts them."""
    least_seed_area_px: int = 4
    """A seed of fewer pixels starts no nucleus of its own."""
    least_area_px: int = 16
    """A nucleus of fewer pixels (1 um2 at 0.25 um/px) is dropped."""
    max_diameter_px: int = 100
    """A nucleus with a longer side along y or x (25 um at 0.25 um/px) is dropped: it would not fit into a halo."""
    max_growth_px: int = 8
    """How far a nucleus extends over the contour from its seed, in steps from pixel to pixel."""

    def __post_init__(self) -> None:
        ranges = {
            "smoothing_px": 0 <= self.smoothing_px <= 10,
            "foreground_threshold": 0 < self.foreground_threshold < 1,
            "seed_threshold": -1 < self.seed_threshold < 1,
            "offsets_weight": 0 <= self.offsets_weight <= 100,
            "max_hole_px": self.max_hole_px >= 0,
            "seed_height_px": self.seed_height_px > 0,
            "least_seed_area_px": self.least_seed_area_px >= 1,
            "least_area_px": self.least_area_px >= 1,
            "max_diameter_px": self.max_diameter_px >= 1,
            "max_growth_px": self.max_growth_px >= 0,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"nuclei cannot be told apart with {', '.join(wrong)}"
            raise ConfigError(msg, "See docs/explanation/nuclei.md for what each number means.")

    @classmethod
    def from_card(cls, postprocessing: Mapping[str, Any]) -> NucleiParameters:
        """The `postprocessing` of a bundle's card; what it leaves out keeps its default, unknown keys are an error."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(postprocessing) - set(known))
        if unknown:
            msg = f"the bundle's postprocessing has unknown keys: {', '.join(unknown)}"
            raise ConfigError(msg, f"Known are {', '.join(known)}.")
        return cls(**postprocessing)

    @property
    def halo_px(self) -> int:
        """How far around a core probabilities must be right for the nuclei it owns to be those of the whole slide."""
        of_masks = max(math.ceil(TRUNCATE * self.smoothing_px), nuclei_offsets.REACH_PX) + self.max_hole_px
        of_seeds = self.max_diameter_px + EROSION_REACH_PX
        return of_masks + of_seeds + self.max_growth_px + 2


def segment(probabilities: NDArray[np.float32], parameters: NucleiParameters) -> Labels:
    """Label the nuclei of a (y, x, 3) {background, interior, contour} map: (y, x), 0 between them, numbered from 1.

    Of a network that knows no contours the map is (y, x, 2): touching nuclei are then parted by their shape alone.
    Either may be followed by two more channels, offsets along y and x.
    Every label is one 4-connected region without holes. What lies inside a nucleus belongs to it.
    """
    interior = smoothed(probabilities[..., INTERIOR], parameters.smoothing_px)
    if _count_classes(probabilities) > CONTOUR:
        contour = smoothed(probabilities[..., CONTOUR], parameters.smoothing_px)
        foreground, certainty = interior + contour, interior - contour
    else:
        foreground, certainty = interior, interior.copy()
    if _count_classes(probabilities) < probabilities.shape[2]:
        certainty += parameters.offsets_weight * nuclei_offsets.spread(probabilities[..., -_OFFSETS:])
    if not all(np.isfinite(values).all() for values in (foreground, certainty)):
        raise _not_finite(probabilities)
    nucleus = foreground > parameters.foreground_threshold
    seeds = without_pinholes((certainty > parameters.seed_threshold) & nucleus, parameters.max_hole_px)
    labels = separate(seeds, parameters.least_seed_area_px, parameters.max_diameter_px, parameters.seed_height_px)
    labels = grow(labels, nucleus | seeds, parameters.max_growth_px)
    return fill_enclosed(_drop_implausible(labels, parameters))


def _count_classes(probabilities: NDArray[np.float32]) -> int:
    channels: int = probabilities.shape[2]
    return channels if channels <= CONTOUR + 1 else channels - _OFFSETS


def nucleus_probability(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map what `segment` gets to the probability of nucleus, (y, x): all classes but background."""
    classes = range(INTERIOR, _count_classes(probabilities))
    return reduce(np.add, (probabilities[..., each] for each in classes))


def _not_finite(probabilities: NDArray[np.float32]) -> NotProbabilities:
    count = int((~np.isfinite(probabilities[..., INTERIOR:])).any(axis=-1).sum())
    return NotProbabilities(
        f"the network's probabilities are no numbers (NaN or infinite) at {count} of {probabilities[..., 0].size} px",
        "Run with --precision fp32; if that does not help, take another bundle.",
    )


def _drop_implausible(labels: Labels, parameters: NucleiParameters) -> Labels:
    """Without nuclei that are too small or too long, and without what nobody owns."""
    extents = extents_of(labels, int(labels.max(initial=0)))
    plausible = (extents.area_px >= parameters.least_area_px) & (extents.side_px <= parameters.max_diameter_px)
    return renumbered(labels, plausible)
