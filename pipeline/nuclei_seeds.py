"""One label a nucleus out of the seeds that a network marks: merged ones are parted at their necks.

Every function's result at a pixel depends on a neighbourhood whose size is known (docs/explanation/nuclei.md); none
depends on where in the array the pixel lies, nor on the numbers that other labels happen to have.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.compiled import compiled
from pipeline.nuclei_distance import Squares, squared_distance
from pipeline.nuclei_necks import split_at_necks
from pipeline.nuclei_regions import Labels, Mask, connected, extents_of, renumbered

NOBODY = -1
"""Label of seed pixels that belong to no nucleus, and keep others from growing over them."""

# Clusters wider than any nucleus come apart at necks of up to twice this.
_MAX_EROSION_PX = 4
# From a pixel that one erosion takes away to the nearest that stays: 1 px, around corners 2, at rugged borders 3 steps.
_LAYER_STEPS = 3

EROSION_REACH_PX = (1 + _LAYER_STEPS) * _MAX_EROSION_PX
"""How far the parting of clusters looks beyond the pieces that it makes."""


def separate(seeds: Mask, least_area_px: int, max_diameter_px: int, height_px: float) -> Labels:
    """Label seeds, (y, x), one label a nucleus; 0 where there is none, `NOBODY` where it cannot be told whose.

    Seeds of fewer than least_area_px pixels are left out. Humps of the distance transform are told apart when they rise
    height_px above the saddle between them. Labels that span more than max_diameter_px are no nuclei, and not parted.
    """
    components, count = connected(seeds, least_area_px)
    # No nucleus, nor what was eroded off one, holds a circle larger than this.
    cap_px = math.ceil(max_diameter_px / 2) + EROSION_REACH_PX
    squares = squared_distance(components > 0, cap_px)
    pieces, narrow = _take_clusters_apart(components, count, squares, least_area_px, max_diameter_px)
    return split_at_necks(pieces, squares, narrow, height_px)


def _take_clusters_apart(
    components: Labels, count: int, squares: Squares, least_area_px: int, max_diameter_px: int
) -> tuple[Labels, Mask]:
    """Replace components that are wider than a nucleus by the pieces into which they fall when eroded.

    Returns labels, and which of them are as narrow as a nucleus, that of 0 unused.
    """
    extents = extents_of(components, count)
    narrow = extents.side_px <= max_diameter_px
    for label in np.flatnonzero(~narrow).tolist():
        place = extents.slices(label)
        cluster = components[place] == label
        pieces = _erode(cluster, squares[place], least_area_px, max_diameter_px)
        components[place][cluster] = np.where(pieces > 0, pieces + len(narrow) - 1, NOBODY)[cluster]
        of_pieces = extents_of(pieces, int(pieces.max()))
        narrow = np.concatenate((narrow, of_pieces.side_px[1:] <= max_diameter_px))
    return components, narrow


def _erode(cluster: Mask, squares: Squares, least_area_px: int, max_diameter_px: int) -> Labels:
    """Take a cluster down, pixel by pixel, where it is wider than a nucleus; label the pieces, `NOBODY` what is lost.

    A tile may see only a part of a cluster, so the cluster cannot be split by looking at all of it; its pieces can be
    seen whole. Every eroded pixel goes to the piece it is nearest to, layer by layer; where none is near, it is lost.
    """
    number = np.arange(1, cluster.size + 1, dtype=np.int32).reshape(cluster.shape)
    nearest_inside = number.flatten()
    labels = cluster.astype(np.int32)
    for depth_px in range(1, _MAX_EROSION_PX + 1):
        wide = _too_wide(labels, max_diameter_px)
        if not wide.any():
            break
        inside = wide & (squares > depth_px**2)
        nearest = grow(np.where(inside, number, 0), wide & (squares > (depth_px - 1) ** 2), _LAYER_STEPS).reshape(-1)
        pixels = np.flatnonzero(wide)
        nearest_inside[pixels] = nearest[nearest_inside[pixels] - 1]
        pieces = connected(inside, least_area_px)[0].reshape(-1)
        piece = np.where(nearest_inside[pixels] > 0, pieces[nearest_inside[pixels] - 1], 0)
        labels.reshape(-1)[pixels] = np.where(piece > 0, piece + labels.max(), NOBODY)
    return renumbered(labels, extents_of(labels, int(labels.max())).area_px > 0)


def _too_wide(labels: Labels, max_diameter_px: int) -> Mask:
    """The pixels, (y, x), of labels that span more than max_diameter_px along y or x."""
    wide = extents_of(labels, int(labels.max())).side_px > max_diameter_px
    wide[0] = False
    pixels: Mask = wide[np.maximum(labels, 0)]
    return pixels


def grow(labels: Labels, region: Mask, steps: int) -> Labels:
    """Extend labels, pixel by pixel along y and x, to the 0-pixels of a region that all of them lie in.

    All labels advance one pixel a step; where several meet, the one above wins, then left, right, below. So a pixel
    depends on what is within `steps` of it, unlike in a priority flood.
    """
    grown = labels.copy(order="C")
    _advance(grown, np.ascontiguousarray(region), steps)
    return grown


@compiled("void(int32[:, ::1], boolean[:, ::1], int64)")
def _advance(labels: Labels, region: Mask, steps: int) -> None:
    """Step by step, what was reached in one looks at its neighbours in the next."""
    height, width = labels.shape
    reached = np.empty((height * width, 2), np.int32)
    begin = end = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x] != 0 and (
                (y > 0 and region[y - 1, x] and labels[y - 1, x] == 0)
                or (x > 0 and region[y, x - 1] and labels[y, x - 1] == 0)
                or (x + 1 < width and region[y, x + 1] and labels[y, x + 1] == 0)
                or (y + 1 < height and region[y + 1, x] and labels[y + 1, x] == 0)
            ):
                reached[end, 0], reached[end, 1] = y, x
                end += 1
    for _ in range(steps):
        last = end
        for down, right in ((1, 0), (0, 1), (0, -1), (-1, 0)):  # from above first
            for each in range(begin, last):
                y, x = reached[each]
                to_y, to_x = y + down, x + right
                inside = 0 <= to_y < height and 0 <= to_x < width
                if inside and region[to_y, to_x] and labels[to_y, to_x] == 0:
                    labels[to_y, to_x] = labels[y, x]
                    reached[end, 0], reached[end, 1] = to_y, to_x
                    end += 1
        begin = last
