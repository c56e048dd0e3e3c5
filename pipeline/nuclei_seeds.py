"""One label a nucleus out of the seeds that a network marks: merged ones are parted at their necks.

Every function's result at a pixel depends on a neighbourhood whose size is known (docs/explanation/nuclei.md); none
depends on where in the array the pixel lies, nor on the numbers that other labels happen to have.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.nuclei_distance import squared_distance
from pipeline.nuclei_necks import split_at_necks
from pipeline.nuclei_runs import (
    Boxes,
    Contacts,
    Indices,
    Labels,
    Runs,
    areas_of,
    boxes_of,
    find_runs,
    renumbered,
    unite,
)

NOBODY = -1
"""Label of seed pixels that belong to no nucleus, and keep others from growing over them."""

# Clusters wider than any nucleus come apart at necks of up to twice this.
_MAX_EROSION_PX = 4
# From a pixel that one erosion takes away to the nearest that stays: 1 px, around corners 2, at rugged borders 3 steps.
_LAYER_STEPS = 3

EROSION_REACH_PX = (1 + _LAYER_STEPS) * _MAX_EROSION_PX
"""How far the parting of clusters looks beyond the pieces that it makes."""


def separate(seeds: Runs, contacts: Contacts, least_area_px: int, max_diameter_px: int, height_px: float) -> Labels:
    """Label seeds, (y, x), one label a nucleus; 0 where there is none, `NOBODY` where it cannot be told whose.

    Seeds of fewer than least_area_px pixels are left out. Humps of the distance transform are told apart when they rise
    height_px above the saddle between them. Labels that span more than max_diameter_px are no nuclei, and not parted.
    """
    component = _components(seeds, contacts, least_area_px)
    components: Labels = seeds.paint(component)
    # No nucleus, nor what was eroded off one, holds a circle larger than this.
    cap_px = math.ceil(max_diameter_px / 2) + EROSION_REACH_PX
    squares = squared_distance(components > 0, cap_px)
    boxes = boxes_of(seeds, component, int(component.max(initial=0)))
    pieces, boxes = _take_clusters_apart(components, squares, boxes, least_area_px, max_diameter_px)
    return split_at_necks(pieces, squares, boxes, max_diameter_px, height_px)


def _components(mask: Runs, contacts: Contacts, least_area_px: int) -> Labels:
    """(runs): 4-connected components of at least least_area_px, numbered from 1."""
    component = unite(mask.value, contacts.sides)
    return renumbered(component, areas_of(mask, component, int(component.max(initial=0))) >= least_area_px)


def _take_clusters_apart(
    components: Labels, squares: NDArray[np.unsignedinteger], boxes: Boxes, least_area_px: int, max_diameter_px: int
) -> tuple[Labels, Boxes]:
    """Replace components that are wider than a nucleus by the pieces into which they fall when eroded."""
    wide = [label for label in np.flatnonzero(boxes.side_px > max_diameter_px).tolist() if label > 0]
    labels = components.copy() if wide else components
    for label in wide:
        place = boxes.slices(label)
        cluster = components[place] == label
        pieces = _erode(cluster, squares[place], least_area_px, max_diameter_px)
        labels[place][cluster] = np.where(pieces > 0, pieces + len(boxes) - 1, NOBODY)[cluster]
        boxes = boxes.joined(_boxes_in(pieces, place))
    return labels, boxes


def _boxes_in(pieces: Labels, place: tuple[slice, slice]) -> Boxes:
    """The boxes, counted from the image's corner, of the labels 1 .. n of a part of it."""
    corner = [side.start for side in place]
    found = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in ndimage.find_objects(pieces)]
    return Boxes(*(np.reshape(found, (-1, 4)).astype(np.int64) + np.tile(corner, 2)).T)


def _erode(
    cluster: NDArray[np.bool_], squares: NDArray[np.unsignedinteger], least_area_px: int, max_diameter_px: int
) -> Labels:
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
        pieces = _without_specks(inside, least_area_px).reshape(-1)
        piece = np.where(nearest_inside[pixels] > 0, pieces[nearest_inside[pixels] - 1], 0)
        labels.reshape(-1)[pixels] = np.where(piece > 0, piece + labels.max(), NOBODY)
    return renumbered(np.maximum(labels, 0), np.bincount(np.maximum(labels, 0).ravel()) > 0)


def _too_wide(labels: Labels, max_diameter_px: int) -> NDArray[np.bool_]:
    """The pixels, (y, x), of labels that span more than max_diameter_px along y or x."""
    runs = find_runs(np.maximum(labels, 0))
    wide = boxes_of(runs, runs.value, int(runs.value.max())).side_px > max_diameter_px
    wide[0] = False
    pixels: NDArray[np.bool_] = runs.paint(wide[runs.value])
    return pixels


def _without_specks(mask: NDArray[np.bool_], least_area_px: int) -> Labels:
    """4-connected components, (y, x), of at least least_area_px, numbered from 1."""
    # Of so few pixels, what is set up for runs would cost more than it saves.
    components, _ = ndimage.label(mask, output=np.int32)
    return renumbered(components, np.bincount(components.ravel()) >= least_area_px)


def grow(labels: Labels, region: NDArray[np.bool_], steps: int) -> Labels:
    """Extend labels, pixel by pixel along y and x, to the 0-pixels of a region that all of them lie in.

    All labels advance one pixel a step; where several meet, the one above wins, then left, right, below. So a pixel
    depends on what is within `steps` of it, unlike in a priority flood.
    """
    grown = np.pad(labels, 1)
    free = np.pad(region & (labels == 0), 1)
    beside_free = np.zeros_like(free)
    beside_free[1:-1, 1:-1] = free[:-2, 1:-1] | free[2:, 1:-1] | free[1:-1, :-2] | free[1:-1, 2:]
    front = np.flatnonzero(beside_free & (grown != 0))
    for _ in range(steps):
        if not front.size:
            break
        front = _advance(grown.reshape(-1), free.reshape(-1), front, grown.shape[1])
    return np.ascontiguousarray(grown[1:-1, 1:-1])


def _advance(labels: Labels, free: NDArray[np.bool_], front: Indices, width: int) -> Indices:
    """Give free neighbours of the front its labels; they are the next front."""
    # Of several that reach one pixel, the last one written stays: that from above.
    reached = np.concatenate([front + step for step in (-width, -1, 1, width)])
    label = np.tile(labels[front], 4)
    new = np.flatnonzero(free[reached])
    reached, label = reached[new], label[new]
    turn = np.arange(len(reached), dtype=np.int32)
    labels[reached] = turn
    last = labels[reached] == turn
    front = reached[last]
    labels[front] = label[last]
    free[front] = False
    return front
