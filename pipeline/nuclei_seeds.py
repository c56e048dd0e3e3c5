"""One label a nucleus out of the seeds that a network marks: merged ones are parted at their necks.

Every function's result at a pixel depends on a neighbourhood whose size is known (docs/explanation/nuclei.md); none
depends on where in the array the pixel lies, nor on the numbers that other labels happen to have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

Labels = NDArray[np.int32]

NOBODY = -1
"""Label of seed pixels that belong to no nucleus, and keep others from growing over them."""

# Clusters wider than any nucleus come apart at necks of up to twice this.
_MAX_EROSION_PX = 4
# From a pixel that one erosion takes away to the nearest that stays: 1 px, around corners 2, at rugged borders 3 steps.
_LAYER_STEPS = 3

EROSION_REACH_PX = (1 + _LAYER_STEPS) * _MAX_EROSION_PX
"""How far the parting of clusters looks beyond the pieces that it makes."""

_FOUR = ndimage.generate_binary_structure(2, 1)


def separate(seeds: NDArray[np.bool_], least_area_px: int, max_diameter_px: int, height_px: float) -> Labels:
    """Label seeds, (y, x), one label a nucleus; 0 where there is none, `NOBODY` where it cannot be told whose.

    Seeds of fewer than least_area_px pixels are left out. Humps of the distance transform are told apart when they rise
    height_px above the saddle between them. Labels that span more than max_diameter_px are no nuclei, and not parted.
    """
    components = _without_specks(seeds, least_area_px)
    if not components.any():
        return components
    # A border of background: else a map that is all seed would have no distance at all.
    distance = ndimage.distance_transform_edt(np.pad(components > 0, 1))[1:-1, 1:-1]
    components = _take_clusters_apart(components, distance, least_area_px, max_diameter_px)
    return _split_at_necks(components, distance, max_diameter_px, height_px)


def _without_specks(seeds: NDArray[np.bool_], least_area_px: int) -> Labels:
    """4-connected components of at least least_area_px, numbered from 1."""
    components, _ = ndimage.label(seeds, output=np.int32)
    return renumber(components, np.bincount(components.ravel()) >= least_area_px)


def renumber(labels: Labels, stays: NDArray[np.bool_]) -> Labels:
    """Only the labels that stay, numbered from 1 in their old order; `stays` has an entry a label, 0 included."""
    stays[0] = False
    return np.where(stays, np.cumsum(stays), 0).astype(np.int32)[labels]


def too_wide(labels: Labels, max_diameter_px: int) -> NDArray[np.bool_]:
    """Whether each label, 0 included, spans more than max_diameter_px along y or x."""
    places = ndimage.find_objects(labels)
    spans = [0, *(max(side.stop - side.start for side in place) if place else 0 for place in places)]
    return np.array([span > max_diameter_px for span in spans])


def _take_clusters_apart(
    components: Labels, distance: NDArray[np.float64], least_area_px: int, max_diameter_px: int
) -> Labels:
    """Replace components that are wider than a nucleus by the pieces into which they fall when eroded."""
    labels = components.copy()
    count = int(components.max(initial=0))
    places = ndimage.find_objects(components)
    for label in np.flatnonzero(too_wide(components, max_diameter_px)).tolist():
        place = places[label - 1]
        cluster = components[place] == label
        pieces = _erode(cluster, distance[place], least_area_px, max_diameter_px)
        labels[place][cluster] = np.where(pieces > 0, pieces + count, NOBODY)[cluster]
        count += int(pieces.max())
    return labels


def _erode(
    cluster: NDArray[np.bool_], distance: NDArray[np.float64], least_area_px: int, max_diameter_px: int
) -> Labels:
    """Take a cluster down, pixel by pixel, where it is wider than a nucleus; label the pieces, `NOBODY` what is lost.

    A tile may see only a part of a cluster, so the cluster cannot be split by looking at all of it; its pieces can be
    seen whole. Every eroded pixel goes to the piece it is nearest to, layer by layer; where none is near, it is lost.
    """
    number = np.arange(1, cluster.size + 1, dtype=np.int32).reshape(cluster.shape)
    nearest_inside = number.flatten()
    labels = cluster.astype(np.int32)
    for depth_px in range(1, _MAX_EROSION_PX + 1):
        wide = too_wide(labels, max_diameter_px)[np.maximum(labels, 0)]
        if not wide.any():
            break
        inside = wide & (distance > depth_px)
        nearest = grow(np.where(inside, number, 0), wide & (distance > depth_px - 1), _LAYER_STEPS).reshape(-1)
        pixels = np.flatnonzero(wide)
        nearest_inside[pixels] = nearest[nearest_inside[pixels] - 1]
        pieces = _without_specks(inside, least_area_px).reshape(-1)
        piece = np.where(nearest_inside[pixels] > 0, pieces[nearest_inside[pixels] - 1], 0)
        labels.reshape(-1)[pixels] = np.where(piece > 0, piece + labels.max(), NOBODY)
    return labels


def _split_at_necks(
    components: Labels, distance: NDArray[np.float64], max_diameter_px: int, height_px: float
) -> Labels:
    """Watershed on the distance transform, from its h-maxima, of each component that has two or more."""
    labels = components.copy()
    count = int(components.max(initial=0))
    places = ndimage.find_objects(components)
    for label, summits in _summits(components, distance):
        place = places[label - 1]
        inside = components[place] == label
        if max(inside.shape) > max_diameter_px:
            continue  # what is still wider than a nucleus is none
        depth = np.where(inside, distance[place], 0.0)
        tops = _h_maxima(depth, summits - [side.start for side in place], height_px)
        if len(tops) > 1:
            markers = np.zeros(inside.shape, np.int32)
            markers[tuple(np.transpose(tops))] = [label, *range(count + 1, count + len(tops))]
            labels[place][inside] = watershed(-depth, markers, mask=inside)[inside]
            count += len(tops) - 1
    return labels


def _summits(components: Labels, distance: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Components with several summits, pixels highest among their 5 x 5 neighbours: label, and (summits, 2) as (y, x).

    Two humps with a saddle of 1 px or more between them are more than 2 px apart, as the distance changes by at most 1
    per px: smaller neighbourhoods find nothing more, and many ripples. A plateau counts by its upper left pixels.
    """
    padded = np.pad(components, 1)
    highest = (padded > 0) & np.pad(distance == ndimage.maximum_filter(distance, 5), 1)
    flat, width = padded.reshape(-1), padded.shape[1]
    pixels = np.flatnonzero(highest)
    for offset in (-width - 1, -width, -width + 1, -1):
        again = highest.reshape(-1)[pixels + offset] & (flat[pixels + offset] == flat[pixels])
        pixels = pixels[~again]
    pixels = pixels[np.argsort(flat[pixels], kind="stable")]
    places = np.stack(np.divmod(pixels, width), axis=1) - 1
    found, first, counts = np.unique(flat[pixels], return_index=True, return_counts=True)
    for several in np.flatnonzero(counts > 1):
        yield int(found[several]), places[first[several] : first[several] + counts[several]]


def _h_maxima(depth: NDArray[np.float64], summits: NDArray[np.int64], height_px: float) -> list[tuple[int, int]]:
    """The summits (y, x) that rise height_px or more above the saddle to any higher one; of equal ones, the first."""
    tops: list[tuple[int, int]] = []
    for _, y, x in sorted((-depth[y, x], y, x) for y, x in summits.tolist()):
        around, _ = ndimage.label(depth > depth[y, x] - height_px, _FOUR) if tops else (depth > 0, 1)
        if not any(around[top] == around[y, x] for top in tops):
            tops.append((y, x))
    return tops


def grow(labels: Labels, regions: NDArray[Any], steps: int) -> Labels:
    """Extend labels, pixel by pixel along y and x, to 0-pixels of the same region; region 0 stays as it is.

    All labels advance one pixel a step; where several meet, the one above wins, then left, right, below. So a pixel
    depends on what is within `steps` of it, unlike in a priority flood.
    """
    grown = np.pad(labels, 1)
    flat, region = grown.reshape(-1), np.pad(regions, 1).reshape(-1)
    pending = np.flatnonzero((flat == 0) & (region != 0))
    for _ in range(steps):
        claim = np.zeros(pending.size, np.int32)
        for offset in (grown.shape[1], 1, -1, -grown.shape[1]):
            beside = flat[pending + offset]
            np.copyto(claim, beside, where=(beside != 0) & (region[pending + offset] == region[pending]))
        reached = claim != 0
        flat[pending[reached]] = claim[reached]
        pending = pending[~reached]
        if not reached.any():
            break
    return np.ascontiguousarray(grown[1:-1, 1:-1])
