"""A (y, x) image as runs: stretches of equal pixels along x, some fifty times fewer than pixels.

What has to be known of regions (which pixels hang together, how large they are, what lies inside what) is known from
runs and from where they touch, at a fraction of the cost of looking at pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.int64]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that cover an image in reading order; none goes on in the next row."""

    shape: tuple[int, int]
    start: Indices
    """(runs): the first pixel, counted in reading order."""
    length: Indices
    """(runs), in px."""
    value: NDArray[Any]
    """(runs): what the image holds there."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self.start)

    @property
    def y(self) -> Indices:
        """(runs): the row."""
        return self.start // self.shape[1]

    @property
    def x(self) -> Indices:
        """(runs): the column of the first pixel."""
        return self.start % self.shape[1]

    def paint(self, values: NDArray[Any]) -> NDArray[Any]:
        """The (y, x) image that holds values[i] in run i."""
        return np.repeat(values, self.length).reshape(self.shape)


def find_runs(image: NDArray[Any]) -> Runs:
    """The runs of a (y, x) image; those of equal neighbours in a row are one."""
    begins = np.ones(image.shape, bool)
    np.not_equal(image[:, 1:], image[:, :-1], out=begins[:, 1:])
    start = np.flatnonzero(begins)
    length = np.diff(start, append=image.size)
    return Runs((image.shape[0], image.shape[1]), start, length, image.reshape(-1)[start])


@dataclass(frozen=True, slots=True)
class Contacts:
    """Pairs of runs that touch, as indices, (2, pairs)."""

    sides: Indices
    """Runs with a pixel's side in common."""
    corners: Indices
    """Runs that meet at a pixel's corner, two others of the four pixels around it being beside them."""


def find_contacts(runs: Runs) -> Contacts:
    """All pairs of runs that touch; a pair may stand there twice."""
    width = runs.shape[1]
    begins = np.zeros(runs.shape[0] * width, bool)
    begins[runs.start] = True
    # Where either of two rows begins a run, a run of the one begins to lie on a run of the other.
    below = np.flatnonzero(begins[width:] | begins[:-width]) + width
    lower = np.searchsorted(runs.start, below, "right") - 1
    upper = np.searchsorted(runs.start, below - width, "right") - 1
    right = np.flatnonzero(runs.x)
    sides = np.stack((np.concatenate((right - 1, upper)), np.concatenate((right, lower))))
    crossing = begins[below] & begins[below - width] & (below % width > 0)
    lower, upper = lower[crossing], upper[crossing]
    corners = np.stack((np.concatenate((upper - 1, upper)), np.concatenate((lower, lower - 1))))
    return Contacts(sides, corners)


def unite(member: NDArray[np.bool_], *pairs: Indices) -> Labels:
    """Number the groups that pairs of members hang together in, from 1 in the order of their first members.

    `member` has an entry a run, `pairs` are (2, n) of runs; pairs with others than members do not count. Runs that are
    no members get 0.
    """
    number = np.cumsum(member) - 1
    linked = np.concatenate(pairs, axis=1)
    one, other = number[linked[:, member[linked[0]] & member[linked[1]]]]
    count = int(member.sum())
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    _, group = connected_components(graph.tocsr(), directed=False)
    groups = np.zeros(len(member), np.int32)
    groups[member] = group + 1
    return groups


def areas_of(runs: Runs, labels: Labels, count: int) -> Indices:
    """(count + 1): how many pixels each label has, of (runs) labels."""
    return np.bincount(labels, weights=runs.length, minlength=count + 1).astype(np.int64)


def at_border(runs: Runs) -> NDArray[np.bool_]:
    """(runs): whether each has a pixel at the image's border."""
    (height, width), (y, x) = runs.shape, np.divmod(runs.start, runs.shape[1])
    reaches: NDArray[np.bool_] = (y == 0) | (y == height - 1) | (x == 0) | (x + runs.length == width)
    return reaches
