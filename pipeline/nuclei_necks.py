"""Seeds of several nuclei, parted at their necks: a watershed from the h-maxima of their distance transform.

What is found of a seed depends on that seed alone. All seeds are looked at together as far as that can be done for
arrays; what is left, a few that may have a neck, one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from pipeline.nuclei_runs import Boxes, Indices, Labels

_FOUR = ndimage.generate_binary_structure(2, 1)

# Below any pixel: summits are flooded from first, one after another.
_LOWEST = -1e6


@dataclass(frozen=True, slots=True)
class _Seed:
    """A seed of several nuclei in its own box."""

    place: tuple[slice, slice]
    inside: NDArray[np.bool_]
    depth_px: NDArray[np.float64]
    tops: Indices
    """(tops, 2): (y, x) in the box; two or more."""


def split_at_necks(
    labels: Labels, squares: NDArray[np.unsignedinteger], boxes: Boxes, max_diameter_px: int, height_px: float
) -> Labels:
    """Give each h-maximum of a seed's distance transform a label of its own, and the seed's pixels to the one uphill.

    Parameters
    ----------
    labels
        (y, x) from 1; what is 0 or less is no seed.
    squares
        (y, x): squared distances to what is no seed, in px2.
    boxes
        Those of the labels. Labels with a longer side than max_diameter_px are no nuclei, and left as they are.
    """
    seeds = []
    for label, summits in _contenders(labels, squares, boxes.side_px <= max_diameter_px, height_px).items():
        place = boxes.slices(label)
        inside = labels[place] == label
        depth_px = np.where(inside, np.sqrt(squares[place].astype(np.float64)), 0.0)
        tops = _h_maxima(depth_px, summits - (boxes.top[label], boxes.left[label]), height_px)
        if len(tops) > 1:
            seeds.append(_Seed(place, inside, depth_px, tops))
    return _flood(labels, seeds, len(boxes)) if seeds else labels


def _contenders(
    labels: Labels, squares: NDArray[np.unsignedinteger], narrow: NDArray[np.bool_], height_px: float
) -> dict[int, Indices]:
    """Labels that may have several h-maxima: their summits (y, x) that may be some, the highest first.

    A summit is none if some path from it to the highest of its seed stays less than height_px below it. One path is
    tried, step by step along y and x as straight as may be: seeds without a neck are done with here.
    """
    pixel = _summits(labels, squares, narrow)
    label, square = labels.reshape(-1)[pixel], squares.reshape(-1)[pixel]
    order = np.lexsort((pixel, -square.astype(np.int64), label))
    pixel, label, depth_px = pixel[order], label[order], np.sqrt(square[order].astype(np.float64))
    found, first, count = np.unique(label, return_index=True, return_counts=True)
    highest = np.repeat(first, count)
    others = np.flatnonzero((highest != np.arange(len(pixel))) & (depth_px > height_px))
    one, step = _paths(pixel[others], pixel[highest[others]], labels.shape[1])
    floor = (depth_px[others] - height_px)[one]
    on_path = (np.sqrt(squares.reshape(-1)[step].astype(np.float64)) > floor) & (
        labels.reshape(-1)[step] == label[others][one]
    )
    broken = np.bincount(one[~on_path], minlength=len(others)) > 0
    contends = np.zeros(len(pixel), bool)
    contends[others[broken]] = True
    contends[highest[contends]] = True
    places = np.stack(np.divmod(pixel[contends], labels.shape[1]), axis=1)
    _, begin = np.unique(label[contends], return_index=True)
    return dict(zip(found[contends[first]].tolist(), np.split(places, begin[1:]), strict=True)) if len(places) else {}


def _summits(labels: Labels, squares: NDArray[np.unsignedinteger], narrow: NDArray[np.bool_]) -> Indices:
    """Pixels, counted in reading order, that are highest among their 5 x 5 neighbours.

    Two humps with a saddle of 1 px or more between them are more than 2 px apart, as the distance changes by at most 1
    per px: smaller neighbourhoods find nothing more, and many ripples. A plateau counts by its upper left pixels.
    """
    width = labels.shape[1] + 2
    padded, highest = np.pad(labels, 1), np.pad(squares == _highest_around(squares), 1)
    flat = padded.reshape(-1)
    pixels = np.flatnonzero(highest.reshape(-1) & (flat > 0))
    pixels = pixels[narrow[flat[pixels]]]
    for offset in (-width - 1, -width, -width + 1, -1):
        again = highest.reshape(-1)[pixels + offset] & (flat[pixels + offset] == flat[pixels])
        pixels = pixels[~again]
    y, x = np.divmod(pixels, width)
    unpadded: Indices = (y - 1) * labels.shape[1] + x - 1
    return unpadded


def _highest_around(values: NDArray[Any]) -> NDArray[Any]:
    """The highest of the 5 x 5 neighbours of each pixel; outside the image is 0."""
    across = np.pad(values, 2)
    for axis in (0, 1):
        across = np.moveaxis(across, axis, 0)
        pairs = np.maximum(across[:-1], across[1:])
        across = np.moveaxis(np.maximum(np.maximum(pairs[:-3], pairs[2:-1]), across[4:]), 0, axis)
    return across


def _paths(begin: Indices, end: Indices, width: int) -> tuple[Indices, Indices]:
    """Every pixel of a path along sides of pixels from each `begin` to its `end`: (whose path, pixel)."""
    (y, x), (y_end, x_end) = np.divmod(begin, width), np.divmod(end, width)
    down, right = y_end - y, x_end - x
    steps = np.abs(down) + np.abs(right)
    whose = np.repeat(np.arange(len(begin)), steps + 1)
    step = np.arange(len(whose)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    # Of n steps, those along y are spread evenly; every other step is along x.
    along_y = (step * np.abs(down)[whose] + steps[whose] // 2) // np.maximum(steps, 1)[whose]
    pixel_y = y[whose] + np.sign(down)[whose] * along_y
    pixel_x = x[whose] + np.sign(right)[whose] * (step - along_y)
    return whose, pixel_y * width + pixel_x


def _h_maxima(depth_px: NDArray[np.float64], summits: Indices, height_px: float) -> Indices:
    """The summits (y, x), from the highest down, that rise height_px or more above the saddle to any higher one."""
    tops = [0]
    for number in range(1, len(summits)):
        y, x = summits[number]
        around, _ = ndimage.label(depth_px > depth_px[y, x] - height_px, _FOUR)
        if not (around[tuple(summits[tops].T)] == around[y, x]).any():
            tops.append(number)
    return summits[tops]


def _flood(labels: Labels, seeds: list[_Seed], count: int) -> Labels:
    """Watershed of the seeds; the highest top keeps the seed's label, the others are numbered from count."""
    places, height, markers = _side_by_side(seeds)
    flooded = watershed(height, markers, mask=height < 0)
    parted, marker = labels.copy(), 1
    for seed, place in zip(seeds, places, strict=True):
        part = flooded[place][seed.inside] - marker
        own = parted[seed.place][seed.inside]
        parted[seed.place][seed.inside] = np.where(part == 0, own, count + part - 1)
        marker += len(seed.tops)
        count += len(seed.tops) - 1
    return parted


def _side_by_side(seeds: list[_Seed]) -> tuple[list[tuple[slice, slice]], NDArray[np.float64], Labels]:
    """One picture of all seeds, a column apart: where each lies, its depth below 0, and its tops numbered from 1.

    A watershed goes by height, then by who was reached first: within a seed, the same whatever is beside it. Tops are
    made the lowest of all, each different, as those of one height would be taken in an order that hangs on the others.
    """
    left = np.cumsum([0, *(seed.inside.shape[1] + 1 for seed in seeds)]).tolist()
    height = np.zeros((max(seed.inside.shape[0] for seed in seeds), left[-1]))
    markers: Labels = np.zeros(height.shape, np.int32)
    places, marker = [], 1
    for seed, x in zip(seeds, left, strict=False):
        place = slice(0, seed.inside.shape[0]), slice(x, x + seed.inside.shape[1])
        places.append(place)
        height[place] = -seed.depth_px
        number, (top_y, top_x) = np.arange(len(seed.tops)), seed.tops.T
        height[place][top_y, top_x] = _LOWEST + number
        markers[place][top_y, top_x] = marker + number
        marker += len(number)
    return places, height, markers
