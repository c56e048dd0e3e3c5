"""Seeds of several nuclei, parted at their necks: a watershed from the h-maxima of their distance transform.

What is found of a seed depends on that seed alone.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.compiled import compiled
from pipeline.nuclei_distance import Squares
from pipeline.nuclei_regions import Indices, Labels, Mask


def split_at_necks(labels: Labels, squares: Squares, narrow: Mask, height_px: float) -> Labels:
    """Give each h-maximum of a seed's distance transform a label of its own, and the seed's pixels to the one uphill.

    Parameters
    ----------
    labels
        (y, x) from 1; what is 0 or less is no seed.
    squares
        (y, x): squared distances to what is no seed, in px2.
    narrow
        (labels): which are as narrow as a nucleus; others are left as they are.
    """
    summits = _summits(labels, squares, narrow)
    y, x = summits.T
    label = labels[y, x]
    summits = summits[np.lexsort((x, y, -squares[y, x], label))]
    tops = summits[_rises(labels, squares, summits, height_px)]
    label = labels[tops[:, 0], tops[:, 1]]
    same = np.diff(label, prepend=0) == 0  # seed as the top before
    several = same | np.append(same[1:], False)
    if not several.any():
        return labels
    number = np.where(same, len(narrow) - 1 + np.cumsum(same), label).astype(np.int32)
    parted = labels.copy()
    _flood(labels, squares, int(squares.max()), tops[several], number[several], parted)
    return parted


@compiled("boolean(int32[:, ::1], int64, int64)")
def _is_highest(squares: Squares, y: int, x: int) -> bool:
    """Whether none of the 5 x 5 pixels around one is higher."""
    height, width = squares.shape
    for to_y in range(max(y - 2, 0), min(y + 3, height)):
        for to_x in range(max(x - 2, 0), min(x + 3, width)):
            if squares[to_y, to_x] > squares[y, x]:
                return False
    return True


@compiled("int64[:, ::1](int32[:, ::1], int32[:, ::1], boolean[::1])")
def _summits(labels: Labels, squares: Squares, narrow: Mask) -> Indices:
    """Pixels (n, 2) of seeds that are highest among their 5 x 5 neighbours.

    Two humps with a saddle of 1 px or more between them are more than 2 px apart, as the distance changes by at most 1
    per px: smaller neighbourhoods find nothing more, and many ripples. A plateau counts by its upper left pixels.
    """
    height, width = labels.shape
    of_seed = np.zeros((height + 1, width + 2), np.int32)  # of the highest; a row and a column later
    found, summits = 0, np.empty((64, 2), np.int64)
    for y in range(height):
        row, above = of_seed[y + 1], of_seed[y]
        for x in range(width):
            label = labels[y, x]
            if label <= 0 or not narrow[label] or (x > 0 and squares[y, x - 1] > squares[y, x]):
                continue  # at little cost, most of them
            if not _is_highest(squares, y, x):
                continue
            row[x + 1] = label
            if label in (row[x], above[x], above[x + 1], above[x + 2]):
                continue
            if found == len(summits):
                summits = np.concatenate((summits, summits))
            summits[found, 0], summits[found, 1] = y, x
            found += 1
    return summits[:found]


@compiled("boolean[::1](int32[:, ::1], int32[:, ::1], int64[:, ::1], float64)")
def _rises(labels: Labels, squares: Squares, summits: Indices, height_px: float) -> Mask:
    """Which summits, sorted by label and from the highest down, rise height_px or more above the saddle to a higher.

    From each, whatever lies less than that below it is flooded, until a higher one is met.
    """
    height, width = labels.shape
    top = -1
    flooded_from = np.zeros((height, width), np.int32)
    to_do = np.empty((height * width, 2), np.int32)
    rises = np.zeros(len(summits), np.bool_)
    for number in range(len(summits)):
        y, x = summits[number]
        label, depth_px = labels[y, x], math.sqrt(squares[y, x])
        first = number == 0 or labels[summits[number - 1, 0], summits[number - 1, 1]] != label
        to_do[0, 0], to_do[0, 1] = y, x
        waiting, alone = 0 if first else 1, True
        while waiting and alone:
            waiting -= 1
            from_y, from_x = to_do[waiting, 0], to_do[waiting, 1]
            for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                to_y, to_x = from_y + down, from_x + right
                if not (0 <= to_y < height and 0 <= to_x < width) or labels[to_y, to_x] != label:
                    continue
                met = flooded_from[to_y, to_x]
                if met == top:
                    alone = False
                elif met != number + 1 and math.sqrt(squares[to_y, to_x]) > depth_px - height_px:
                    flooded_from[to_y, to_x] = number + 1
                    to_do[waiting, 0], to_do[waiting, 1] = to_y, to_x
                    waiting += 1
        if alone:
            rises[number] = True
            flooded_from[y, x] = top
    return rises


@compiled("void(int64[::1], int64[::1], int64[::1], int64, int64)")
def _append(first: Indices, last: Indices, following: Indices, queue: int, pixel: int) -> None:
    """Add a pixel to one of the queues; each has a first and a last, and each pixel the one that follows it."""
    if first[queue] < 0:
        first[queue] = pixel
    else:
        following[last[queue]] = pixel
    last[queue], following[pixel] = pixel, -1


@compiled("void(int32[:, ::1], int32[:, ::1], int64, int64[:, ::1], int32[::1], int32[:, ::1])")
def _flood(labels: Labels, squares: Squares, highest: int, tops: Indices, numbers: Labels, parted: Labels) -> None:
    """Watershed: tops get their numbers, then the other pixels of their seeds, from high to low.

    There is a queue for each height: pixels are taken in the order in which they were reached, and those that lie
    higher than what they were reached from at its height.
    """
    height, width = labels.shape
    first, last = np.full(highest + 2, -1, np.int64), np.full(highest + 2, -1, np.int64)
    following = np.empty(height * width, np.int64)
    reached = np.zeros((height, width), np.bool_)
    for top in range(len(tops)):
        y, x = tops[top]
        reached[y, x], parted[y, x] = True, numbers[top]
        _append(first, last, following, highest + 1, y * width + x)  # tops come before all
    for level in range(highest + 1, 0, -1):
        pixel = first[level]
        while pixel >= 0:
            y, x = pixel // width, pixel % width
            for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                to_y, to_x = y + down, x + right
                if not (0 <= to_y < height and 0 <= to_x < width) or reached[to_y, to_x]:
                    continue
                if labels[to_y, to_x] != labels[y, x]:
                    continue
                reached[to_y, to_x], parted[to_y, to_x] = True, parted[y, x]
                _append(first, last, following, min(squares[to_y, to_x], level), to_y * width + to_x)
            pixel = following[pixel]
