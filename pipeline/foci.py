"""Foci: connected regions of a map, found strip by strip, so that memory grows with the map's width alone.

Pixels that touch at a corner belong together: a focus that runs diagonally through square patches is one focus.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from pipeline.geometry import Box

_TOUCHING = np.ones((3, 3), np.bool_)


@dataclass(frozen=True, slots=True)
class Focus:
    """A connected region, in px of its map."""

    area_px: int
    box: Box
    """The smallest box around it."""
    y_px: float
    """Its centroid; pixel i has its centre at i + 0.5. Of a bent focus it may lie outside."""
    x_px: float


@dataclass(slots=True)
class FociTracer:
    """Takes a map strip by strip from top to bottom, each as wide as the map and of any height."""

    _parts: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each part of a focus inside one strip: area, sums of y and x, box as (y, x, y end, x end)."""
    _bonds: list[NDArray[np.int64]] = field(default_factory=list)
    """(n, 2): parts on both sides of a border between strips that touch."""
    _last_row: NDArray[np.int64] | None = None
    """The part that each pixel of the last row belongs to, counted from 1; 0 for none."""
    _count: int = 0
    _y_px: int = 0

    def add(self, strip: NDArray[np.bool_]) -> None:
        """Take the next rows, (y, x)."""
        labels, found = ndimage.label(strip, _TOUCHING)
        labels = np.where(labels, labels.astype(np.int64) + self._count, 0)
        if self._last_row is not None:
            self._bonds.append(_bonds(self._last_row, labels[0]))
        if found:
            self._parts.append(_measure(labels, self._count, found, self._y_px))
        self._last_row = labels[-1]
        self._count += found
        self._y_px += len(strip)

    def foci(self) -> list[Focus]:
        """All foci of the strips taken so far, largest first; of equal ones, the one that begins higher up."""
        if not self._count:
            return []
        parts = np.concatenate(self._parts)
        bonds = np.concatenate([np.empty((0, 2), np.int64), *self._bonds])
        graph = sparse.coo_array((np.ones(len(bonds)), bonds.T), shape=(self._count, self._count))
        count, whole = sparse.csgraph.connected_components(graph, directed=False)
        area, y, x = (np.bincount(whole, parts[:, column], count) for column in range(3))
        boxes = np.tile([np.inf, np.inf, -np.inf, -np.inf], (count, 1))
        np.minimum.at(boxes[:, :2], whole, parts[:, 3:5])
        np.maximum.at(boxes[:, 2:], whole, parts[:, 5:])
        order = np.argsort(-area, kind="stable")
        return [
            Focus(int(area[index]), _box(boxes[index]), float(y[index] / area[index]), float(x[index] / area[index]))
            for index in order.tolist()
        ]


def _measure(labels: NDArray[np.int64], before: int, found: int, y_px: int) -> NDArray[np.float64]:
    """(found, 7) of the parts in a strip: area, sums of y and x, box."""
    rows, columns = np.nonzero(labels)
    part = labels[rows, columns] - before - 1
    sums = (np.bincount(part, weights, found) for weights in (None, rows + y_px + 0.5, columns + 0.5))
    boxes = [
        (down.start + y_px, across.start, down.stop + y_px, across.stop)
        for down, across in ndimage.find_objects(np.where(labels, labels - before, 0))
    ]
    return np.column_stack([*sums, np.array(boxes, np.float64)])


def _bonds(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which parts touch across a border, (n, 2) from 0: straight down and by the corners."""
    padded = np.pad(above, 1)
    pairs = np.concatenate([np.column_stack([padded[shift : shift + len(below)], below]) for shift in range(3)])
    return np.unique(pairs[(pairs > 0).all(axis=1)], axis=0) - 1


def _box(corners: NDArray[np.float64]) -> Box:
    y, x, y_end, x_end = (int(corner) for corner in corners)
    return Box(y, x, y_end - y, x_end - x)
