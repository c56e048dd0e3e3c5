"""Between labelled pixels and outlines: `trace` goes one way, `draw` the other, for all regions at once.

An outline is the iso-contour at 0.5 between pixel centres.

The unit edges between a region and what is not in it are linked into closed loops; the outline joins the middles of
consecutive edges. That is marching squares on the region's mask (`skimage.measure.find_contours(mask, 0.5)`). It keeps
0.35 px or more away from every pixel centre, so that drawing an outline by the pixel-centre rule gives back its region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.geometry import Box
from pipeline.nuclei_regions import Indices, Labels

Lengths = NDArray[np.float64]

# The four edges of a pixel in the order in which a walk around it, its inside always on the same hand, meets them:
# the step (y, x) along the edge, the neighbour beyond it, and the edge's middle in half px from the pixel's corner.
_ALONG = ((0, 1), (1, 0), (0, -1), (-1, 0))
_BEYOND = ((-1, 0), (0, 1), (1, 0), (0, -1))
_MIDDLE = ((0, 1), (1, 2), (2, 1), (1, 0))


@dataclass(frozen=True, slots=True)
class Outlines:
    """Closed rings, one a region, in half px of the frame: whole numbers, so that every tile has the same."""

    corners_halfpx: NDArray[np.int64]
    """(corners, 2) as (y, x); ring i is corners[start[i] : start[i + 1]], its first corner not repeated."""
    start: NDArray[np.int64]
    """(rings + 1)."""
    perimeter_px: NDArray[np.float64]
    """(rings)."""
    area_px: NDArray[np.float64]
    """(rings): half a px less than the region's pixels, as the four outer corners are cut by an eighth each."""


def trace(labels: Labels, wanted: NDArray[np.integer], origin_px: tuple[int, int]) -> Outlines:
    """The outer outline of each wanted label of a (y, x) label image whose first pixel lies at `origin_px` (y, x).

    Labels are 4-connected; of a label in several parts, the topmost is outlined.
    """
    labels = np.ascontiguousarray(labels)
    place = np.zeros(max(labels.max(initial=0), wanted.max(initial=0)) + 1, np.int64)
    place[wanted] = np.arange(1, len(wanted) + 1)
    corners, start, steps, first_step, area_px = _walk(labels, _first_pixels(labels, place, len(wanted)))
    perimeter_px = np.add.reduceat(steps, first_step[:-1]) if len(wanted) else area_px
    return Outlines(corners + 2 * np.array(origin_px), start, perimeter_px, area_px)


@compiled("int64[:, ::1](int32[:, ::1], int64[::1], int64)")
def _first_pixels(labels: Labels, place: Indices, count: int) -> Indices:
    """(y, x) of the first pixel of each label, in reading order, at the label's place; 0 is of what is unwanted."""
    first = np.full((count + 1, 2), -1, np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x] > 0 and first[place[labels[y, x]], 0] < 0:
                first[place[labels[y, x]]] = y, x
    return first[1:]


@compiled("boolean(int32[:, ::1], int64, int64, int32)")
def _is(labels: Labels, y: int, x: int, label: int) -> bool:
    """Whether a pixel, perhaps outside the image, has a label."""
    return 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and bool(labels[y, x] == label)


@compiled("UniTuple(int64, 3)(int32[:, ::1], int64, int64, int64)")
def _next(labels: Labels, y: int, x: int, side: int) -> tuple[int, int, int]:
    """The edge (y, x, side) that follows one on the way around its region."""
    ahead_y, ahead_x = y + _ALONG[side][0], x + _ALONG[side][1]
    if not _is(labels, ahead_y, ahead_x, labels[y, x]):
        return y, x, (side + 1) % 4
    across_y, across_x = ahead_y + _BEYOND[side][0], ahead_x + _BEYOND[side][1]
    if not _is(labels, across_y, across_x, labels[y, x]):
        return ahead_y, ahead_x, side
    return across_y, across_x, (side + 3) % 4


@compiled("Tuple((int64[:, ::1], int64[::1], float64[::1], int64[::1], float64[::1]))(int32[:, ::1], int64[:, ::1])")
def _walk(labels: Labels, first: Indices) -> tuple[Indices, Indices, Lengths, Indices, Lengths]:
    """Walk around each region, from the upper side of its first pixel back to it.

    Returns the corners in half px and the first of each ring, the lengths of the steps from edge to edge in px and the
    first of each ring, and the areas.
    """
    corners, corner, first_corner = np.empty((1024, 2), np.int64), 0, np.zeros(len(first) + 1, np.int64)
    steps, step, first_step = np.empty(1024, np.float64), 0, np.zeros(len(first) + 1, np.int64)
    area_px = np.zeros(len(first), np.float64)
    for ring in range(len(first)):
        y, x = first[ring]
        side, eighths = 0, 0
        middle_y, middle_x = 2 * y + _MIDDLE[side][0], 2 * x + _MIDDLE[side][1]
        down, right = -1, 1  # the step that leads to the first edge: from the left side of its pixel
        while step == first_step[ring] or side != 0 or y != first[ring, 0] or x != first[ring, 1]:
            if corner == len(corners):
                corners = np.concatenate((corners, corners))
            if step == len(steps):
                steps = np.concatenate((steps, steps))
            steps[step] = 1.0 if down == 0 or right == 0 else math.sqrt(0.5)
            step += 1
            y, x, side = _next(labels, y, x, side)
            next_y, next_x = 2 * y + _MIDDLE[side][0], 2 * x + _MIDDLE[side][1]
            if next_y - middle_y != down or next_x - middle_x != right:
                corners[corner, 0], corners[corner, 1] = middle_y, middle_x
                corner += 1
            eighths += middle_x * next_y - next_x * middle_y
            down, right, middle_y, middle_x = next_y - middle_y, next_x - middle_x, next_y, next_x
        first_corner[ring + 1], first_step[ring + 1], area_px[ring] = corner, step, eighths / 8
    return corners[:corner], first_corner, steps[:step], first_step, area_px


@dataclass(frozen=True, slots=True)
class Rings:
    """Closed rings as edges, in px of one frame: edge i goes from (y0, x0) to (y1, x1) and belongs to polygon[i]."""

    y0: NDArray[np.float64]
    x0: NDArray[np.float64]
    y1: NDArray[np.float64]
    x1: NDArray[np.float64]
    polygon: NDArray[np.int64]


def draw(rings: Rings, values: NDArray[np.uint32], box: Box) -> NDArray[np.uint32]:
    """Fill polygons, (y, x) over `box`: a pixel takes the least value of the polygons that hold its centre.

    Every row of pixel centres is crossed with every edge, in coordinates of the frame: a pixel's value does not depend
    on the box that it is drawn in.
    """
    row, x, polygon = _crossings(rings, box)
    order = np.lexsort((x, row, polygon))
    # An even number of edges crosses a row; the pixels between the first and the second are inside, and so on.
    enter, leave = order[0::2], order[1::2]
    begin = np.clip(np.ceil(x[enter] - 0.5).astype(np.int64), box.x, box.x_end)
    end = np.clip(np.ceil(x[leave] - 0.5).astype(np.int64), box.x, box.x_end)
    value = values[polygon[enter]]
    last_wins = np.argsort(value, kind="stable")[::-1]
    span, within = _unfold((end - begin)[last_wins])
    span = last_wins[span]
    drawn = np.zeros(box.shape, np.uint32)
    drawn[row[enter[span]] - box.y, begin[span] + within - box.x] = value[span]
    return drawn


def _crossings(rings: Rings, box: Box) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """(row, x, polygon) of every crossing of an edge with the line through the centres of a row of pixels of `box`.

    An edge owns its lower end and not its upper, so that a corner on such a line is crossed once.
    """
    low, high = np.minimum(rings.y0, rings.y1), np.maximum(rings.y0, rings.y1)
    first = np.clip(np.ceil(low - 0.5).astype(np.int64), box.y, box.y_end)
    stop = np.clip(np.ceil(high - 0.5).astype(np.int64), box.y, box.y_end)
    edge, within = _unfold(stop - first)
    row = first[edge] + within
    slope = (rings.x1 - rings.x0)[edge] / (rings.y1 - rings.y0)[edge]
    return row, rings.x0[edge] + (row + 0.5 - rings.y0[edge]) * slope, rings.polygon[edge]


def _unfold(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[2, 0, 3] to ([0, 0, 2, 2, 2], [0, 1, 0, 1, 2]): whose turn it is, and which of its turns."""
    whose = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    return whose, np.arange(len(whose)) - (ends - counts)[whose]
