"""Slides that stand out from their cohort: to be looked at, not thrown away.

A value's distance from the median, on a logarithmic scale, in robust standard deviations: 0.6745 |x - median| / MAD. A
slide stands out above 3.5 (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). Densities, areas and times
are positive and spread over decades, so that what is compared are ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# With fewer slides the median and what is usual around it say little.
LEAST_SLIDES = 8
CUTOFF = 3.5
_NORMAL = 0.6745
# Where half the slides or more are alike, the MAD is 0; this much, a factor of 1.05, counts as alike.
_LEAST_SPREAD = float(np.log(1.05))


@dataclass(frozen=True, slots=True)
class Outlier:
    """A slide whose value is unlike the others'."""

    slide: str
    value: float
    median: float
    """Of all slides that have a value."""
    score: float
    """Robust standard deviations from the median; negative below it; infinite for a value of 0."""


def outliers(values: Sequence[tuple[str, float]]) -> list[Outlier]:
    """The slides whose values, none negative, stand out, farthest first; none where there are too few to tell."""
    if len(values) < LEAST_SLIDES:
        return []
    amounts = np.array([value for _, value in values], np.float64)
    median = float(np.median(amounts))
    if median <= 0:
        return []
    with np.errstate(divide="ignore"):
        away = np.log(amounts) - np.log(median)
    spread = max(float(np.median(np.abs(away))), _LEAST_SPREAD)
    scores = _NORMAL * away / spread
    found = [
        Outlier(slide, value, median, float(score))
        for (slide, value), score in zip(values, scores, strict=True)
        if abs(score) > CUTOFF
    ]
    return sorted(found, key=lambda outlier: (-abs(outlier.score), outlier.slide))
