"""Between labelled pixels and outlines: `trace` goes one way, `draw` the other, for all regions at once.

An outline is the iso-contour at 0.5 between pixel centres.

The unit edges between a region and what is not in it are linked into closed loops; the outline joins the middles of
consecutive edges. That is marching squares on the region's mask (`skimage.measure.find_contours(mask, 0.5)`). It keeps
0.35 px or more away from every pixel centre, so that drawing an outline by the pixel-centre rule gives back its region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import Box

# The four edges of a pixel in the order in which a walk around it, its inside always on the same hand, meets them:
# the step (y, x) along the edge, the neighbour beyond it, and the edge's middle in half px from the pixel's corner.
_ALONG = ((0, 1), (1, 0), (0, -1), (-1, 0))
_BEYOND = ((-1, 0), (0, 1), (1, 0), (0, -1))
_MIDDLE = np.array(((0, 1), (1, 2), (2, 1), (1, 0)))


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


def trace(labels: NDArray[np.int32], wanted: NDArray[np.integer], origin_px: tuple[int, int]) -> Outlines:
    """The outer outline of each wanted label of a (y, x) label image whose first pixel lies at `origin_px` (y, x).

    Labels are 4-connected; of a label in several parts, the topmost is outlined.
    """
    pixel, side, following, first = _edges(labels, wanted)
    order, start = _walk(following, first)
    width = labels.shape[1] + 2
    y, x = np.divmod(pixel[order], width)
    side = side[order]
    # The image was padded by one pixel.
    middle = 2 * (np.stack((y, x), 1).astype(np.int64) + (np.array(origin_px) - 1)) + _MIDDLE[side]
    return _rings(middle, side, start)


def _edges(
    labels: NDArray[np.int32], wanted: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """All edges of the wanted labels: (pixel inside, side of it, edge that follows), and each label's first edge.

    Pixels are indices into the label image padded by one.
    """
    padded = np.pad(labels, 1)
    flat, width = padded.reshape(-1), padded.shape[1]
    beyond = [y * width + x for y, x in _BEYOND]
    along = [y * width + x for y, x in _ALONG]
    by_side = _pixels_by_side(flat, width, wanted, beyond)
    number, place = _numbered(by_side, flat.size)
    following = []
    for side, pixels in enumerate(by_side):
        ahead, across = pixels + along[side], pixels + along[side] + beyond[side]
        own = flat[pixels]
        goes_on = flat[ahead] == own
        turns_back = goes_on & (flat[across] == own)
        next_side = np.where(turns_back, side - 1, np.where(goes_on, side, side + 1)) % 4
        next_pixel = np.where(turns_back, across, np.where(goes_on, ahead, pixels))
        following.append(number[next_side, place[next_pixel]])

    _, topmost = np.unique(flat[by_side[0]], return_index=True)
    first = topmost[np.searchsorted(np.sort(wanted), wanted)].astype(np.int32)
    sides = np.repeat(np.arange(4), [pixels.size for pixels in by_side])
    return np.concatenate(by_side), sides, np.concatenate(following), first


def _numbered(by_side: list[NDArray[np.int64]], size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """A number for each edge, by (side, place of its pixel), and the place of each pixel that has an edge."""
    at_border = np.zeros(size, bool)
    at_border[np.concatenate(by_side)] = True
    border = np.flatnonzero(at_border)
    place = np.empty(size, np.int32)  # read only where it is written, as is `number`
    place[border] = np.arange(border.size, dtype=np.int32)
    number = np.empty((4, border.size), np.int32)
    begin = 0
    for side, pixels in enumerate(by_side):
        number[side, place[pixels]] = np.arange(begin, begin + pixels.size, dtype=np.int32)
        begin += pixels.size
    return number, place


def _pixels_by_side(
    flat: NDArray[np.int32], width: int, wanted: NDArray[np.integer], beyond: list[int]
) -> list[NDArray[np.int64]]:
    """For each of the four sides, the pixels of wanted labels that have something else beyond it."""
    is_wanted = np.zeros(max(flat.max(initial=0), wanted.max(initial=0)) + 1, bool)
    is_wanted[wanted] = True
    inner = flat[width:-width]
    by_side = []
    for offset in beyond:
        # Half of these edges belong to the background, or to labels that nobody asked for.
        pixels = np.flatnonzero(inner != flat[width + offset : flat.size - width + offset]) + width
        by_side.append(pixels[is_wanted[flat[pixels]]])
    return by_side


def _walk(following: NDArray[np.int32], first: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges in the order of their rings, and where each ring starts: a step on all rings at a time."""
    rings, edges = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    ring, edge = np.arange(len(first)), first
    while ring.size:
        rings.append(ring)
        edges.append(edge)
        edge = following[edge]
        goes_on = edge != first[ring]
        ring, edge = ring[goes_on], edge[goes_on]
    whose = np.concatenate(rings)
    start = np.concatenate(([0], np.cumsum(np.bincount(whose, minlength=len(first)))))
    step = np.repeat(np.arange(len(rings)) - 1, [len(part) for part in rings])
    order = np.empty(len(whose), np.int64)
    order[start[whose] + step] = np.concatenate(edges)
    return order, start


def _rings(middle: NDArray[np.int64], side: NDArray[np.int64], start: NDArray[np.int64]) -> Outlines:
    """Rings without the corners at which they go straight on; perimeter and area."""
    if not middle.size:
        nothing = np.zeros(len(start) - 1)
        return Outlines(middle, start, nothing, nothing)
    before, after = np.arange(len(side)) - 1, np.arange(len(side)) + 1
    before[start[:-1]], after[start[1:] - 1] = start[1:] - 1, start[:-1]
    turns = side != side[before]
    perimeter_px = np.add.reduceat(np.where(turns, np.sqrt(0.5), 1.0), start[:-1])
    corner = (middle[after] - middle != middle - middle[before]).any(axis=1)
    y, x = (middle - np.repeat(middle[start[:-1]], np.diff(start), axis=0)).T
    area_px = np.add.reduceat(x * y[after] - x[after] * y, start[:-1]) / 8
    kept = np.concatenate(([0], np.cumsum(corner)))
    return Outlines(middle[corner], kept[start], perimeter_px, area_px)


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
