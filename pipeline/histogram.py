"""Histograms that grow a part at a time: memory is that of their bins, however many values there are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Histogram:
    """Counts from 0 on in bins of one width; the last bin also holds all that is larger."""

    width: float
    """Of a bin, in the unit of the values."""
    bins: int
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.bins, np.int64)

    def add(self, values: NDArray[np.floating]) -> None:
        """Count values; those that are no number, or negative, do not count."""
        kept = values[np.isfinite(values) & (values >= 0)].astype(np.float64)
        # Where a value was written as a multiple of the width, the quotient may fall a rounding error short of it.
        bins = np.minimum(kept / self.width * (1 + 1e-12), self.bins - 1).astype(np.int64)
        self.counts += np.bincount(bins, minlength=self.bins)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """Where `share` of the values lie below; within a bin they are taken to be spread evenly. Not of nothing."""
        below = np.cumsum(self.counts)
        wanted = share * below[-1]
        index = int(np.searchsorted(below, wanted))
        return (index + float((wanted - (below[index] - self.counts[index])) / self.counts[index])) * self.width

    def bars(self, each: int, most: int) -> tuple[int, ...]:
        """Counts of `each` bins together, at most `most` of them; the last holds the rest."""
        padded = np.concatenate([self.counts, np.zeros(-len(self.counts) % each, np.int64)])
        summed = padded.reshape(-1, each).sum(axis=1)
        shown = min(most, len(summed))
        return (*summed[: shown - 1].tolist(), int(summed[shown - 1 :].sum()))
