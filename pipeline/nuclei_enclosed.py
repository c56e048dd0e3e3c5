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
    flooded = np.zeros((height, width), np.int32)
    to_do = np.empty(((2 * max_hole_px + 3) * (max_hole_px + 3), 2), np.int32)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if mask[y, x] or not mask[y, x - 1]:
                continue
            if not (mask[y - 1, x - 1] and mask[y - 1, x] and mask[y - 1, x + 1]):
                continue  # not the first pixel of a hole
            left, right = _flood(mask, y, x, max_hole_px, flooded, to_do)
            for to_y in range(y, min(y + max_hole_px, height)):
                for to_x in range(left, right):
                    mask[to_y, to_x] |= flooded[to_y, to_x] == y * width + x


@compiled("UniTuple(int64, 2)(boolean[:, ::1], int64, int64, int64, int32[:, ::1], int32[:, ::1])")
def _flood(mask: Mask, y: int, x: int, max_hole_px: int, flooded: Labels, to_do: Labels) -> tuple[int, int]:
    """Mark the hole of which (y, x) is the first pixel with that pixel's place; its columns, none if it is no hole."""
    height, width = mask.shape
    flooded[y, x] = y * width + x
    to_do[0] = y, x
    waiting, left, right, is_hole = 1, x, x + 1, max_hole_px > 0
    while waiting and is_hole:
        waiting -= 1
        from_y, from_x = to_do[waiting]
        for to_y in range(from_y - 1, from_y + 2):
            for to_x in range(from_x - 1, from_x + 2):
                if mask[to_y, to_x] or flooded[to_y, to_x] == y * width + x:
                    continue
                flooded[to_y, to_x] = y * width + x
                to_do[waiting] = to_y, to_x
                waiting += 1
                left, right = min(left, to_x), max(right, to_x + 1)
                # A hole that goes on above its supposed first pixel would have been filled from there.
                is_hole &= y <= to_y < min(y + max_hole_px, height - 1)
        is_hole &= left > 0 and right < width and right - left <= max_hole_px
    return (left, right) if is_hole else (0, 0)


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
            holes[label] += int(right) + int(below) - int(square) - 1
    for label in range(1, len(holes)):
        holes[label] += 1


def _holes(mask: Mask) -> Mask:
    """What is not in a (y, x) mask, nor 8-connected to its outside; several times as fast as `binary_fill_holes`."""
    background, _ = ndimage.label(np.pad(~mask, 1, constant_values=True), _EIGHT)
    holes: Mask = ~mask & (background[1:-1, 1:-1] != background[0, 0])
    return holes
