"""What lies inside something else: holes, and regions within regions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.compiled import compiled
from pipeline.nuclei_regions import Indices, Labels, Mask, extents_of, renumbered

_EIGHT = np.ones((3, 3), bool)


def without_pinholes(mask: Mask, max_hole_px: int) -> Mask:
    """A mask (y, x) with its holes (8-connected background) filled that span max_hole_px or less along y and x.

    What touches the image's border is no hole.
    """
    filled = mask.copy(order="C")
    _fill_pinholes(filled, max_hole_px)
    return filled


@compiled("void(boolean[:, ::1], int64)")
def _fill_pinholes(mask: Mask, max_hole_px: int) -> None:
    """Flood whatever may be a hole until it is too long for one, or has no more pixels."""
    height, width = mask.shape
    flooded_from = np.zeros((height, width), np.int32)
    to_do = np.empty(((2 * max_hole_px + 3) * (max_hole_px + 3), 2), np.int32)
    flood = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if mask[y, x] or not (mask[y, x - 1] and mask[y - 1, x - 1] and mask[y - 1, x] and mask[y - 1, x + 1]):
                continue  # not the first pixel of a hole
            flood += 1
            flooded_from[y, x] = flood
            to_do[0, 0], to_do[0, 1] = y, x
            waiting, left, right, is_hole = 1, x, x, max_hole_px > 0
            while waiting and is_hole:
                waiting -= 1
                from_y, from_x = to_do[waiting, 0], to_do[waiting, 1]
                for to_y in range(from_y - 1, from_y + 2):
                    for to_x in range(from_x - 1, from_x + 2):
                        if mask[to_y, to_x] or flooded_from[to_y, to_x] == flood:
                            continue
                        flooded_from[to_y, to_x] = flood
                        to_do[waiting, 0], to_do[waiting, 1] = to_y, to_x
                        waiting += 1
                        left, right = min(left, to_x), max(right, to_x)
                        # A hole that goes on above its supposed first pixel would have been filled from there.
                        is_hole &= y <= to_y < min(y + max_hole_px, height - 1)
                is_hole &= left > 0 and right < width - 1 and right - left < max_hole_px
            if is_hole:
                for to_y in range(y, min(y + max_hole_px, height)):
                    for to_x in range(left, right + 1):
                        mask[to_y, to_x] |= flooded_from[to_y, to_x] == flood


def fill_enclosed(labels: Labels) -> Labels:
    """Give each region of a (y, x) label image what its outline encloses: holes, and regions inside it.

    Labels are 1 .. n and 4-connected; so are those returned, in the same order, less the enclosed.
    """
    count = int(labels.max(initial=0))
    holes = np.zeros(count + 1, np.int64)
    _count_holes(np.ascontiguousarray(labels), holes)
    if not holes.any():
        return labels
    extents = extents_of(labels, count)
    filled, swallows = labels.copy(), False
    for label in np.flatnonzero(holes).tolist():
        part = filled[extents.slices(label)]
        inside = _holes(part == label)
        swallows |= bool(part[inside].any())
        part[inside] = label
    return renumbered(filled, np.bincount(filled.ravel(), minlength=count + 1) > 0) if swallows else filled


@compiled("void(int32[:, ::1], int64[::1])")
def _count_holes(labels: Labels, holes: Indices) -> None:
    """By Euler's formula: without holes, a region has one more pixels and 2 x 2 squares than pairs of neighbours."""
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == 0:
                continue
            right = x + 1 < width and labels[y, x + 1] == label
            below = y + 1 < height and labels[y + 1, x] == label
            square = right and below and labels[y + 1, x + 1] == label
            holes[label] += right + below - square - 1
    for label in range(1, len(holes)):
        holes[label] += 1


def _holes(mask: Mask) -> Mask:
    """What is not in a (y, x) mask, nor 8-connected to its outside; several times as fast as `binary_fill_holes`."""
    background, _ = ndimage.label(np.pad(~mask, 1, constant_values=True), _EIGHT)
    holes: Mask = ~mask & (background[1:-1, 1:-1] != background[0, 0])
    return holes
