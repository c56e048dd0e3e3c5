"""Regions of a (y, x) label image: which pixels hang together, how many they are, how far they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
Labels = NDArray[np.int32]


def connected(mask: Mask, least_area_px: int) -> tuple[Labels, int]:
    """Label the 4-connected regions of at least least_area_px, from 1 in the order of their first pixels; how many."""
    labels: Labels = np.empty(mask.shape, np.int32)
    return labels, _connect(np.ascontiguousarray(mask), least_area_px, labels)


@compiled("int32(int32[::1], int32)")
def _lowest(lower: Labels, number: int) -> int:
    while lower[number] != number:
        number = lower[number]
    return number


@compiled("int64(int32[::1], int64[::1], int64, int64)")
def _label(lower: Labels, area_px: Indices, last: int, least_area_px: int) -> int:
    """Turn what is lower into labels, without small regions."""
    for number in range(last, 0, -1):
        if lower[number] != number:
            area_px[lower[number]] += area_px[number]
    count = 0
    for number in range(1, last + 1):
        if lower[number] != number:
            lower[number] = lower[lower[number]]  # which has its label already
        elif area_px[number] >= least_area_px:
            count += 1
            lower[number] = count
        else:
            lower[number] = 0
    return count


@compiled("int64(boolean[:, ::1], int64, int32[:, ::1])")
def _connect(mask: Mask, least_area_px: int, labels: Labels) -> int:
    """Give pixels numbers as they come, note which numbers meet, then give each region one of its own."""
    height, width = mask.shape
    most = height * width // 2 + 2  # a number begins where neither the pixel above nor that to the left has one
    lower = np.empty(most, np.int32)  # another number of the region, lower unless it is the region's lowest
    area_px = np.empty(most, np.int64)
    lower[0] = last = 0
    for y in range(height):
        left = 0
        for x in range(width):
            number = 0
            if mask[y, x]:
                above = labels[y - 1, x] if y > 0 else 0
                number = max(left, above)
                if number == 0:
                    last += 1
                    number = lower[last] = last
                    area_px[last] = 0
                elif left != above and min(left, above) > 0:
                    one, other = _lowest(lower, left), _lowest(lower, above)
                    number = min(one, other)
                    lower[one] = lower[other] = number
                area_px[number] += 1
            labels[y, x] = left = number
    count = _label(lower, area_px, last, least_area_px)
    for y in range(height):
        for x in range(width):
            labels[y, x] = lower[labels[y, x]]
    return count


@dataclass(frozen=True, slots=True)
class Extents:
    """How large regions are; entry i is label i, 0 unused."""

    area_px: Indices
    box: Indices
    """(labels, 4): top, left, and the first row and column beyond."""

    @property
    def side_px(self) -> Indices:
        """The longer side; less than 1 of a label that no pixel has."""
        side_px: Indices = (self.box[:, 2:] - self.box[:, :2]).max(axis=1)
        return side_px

    def slices(self, label: int) -> tuple[slice, slice]:
        """(rows, columns) of a label, to index a (y, x) array."""
        top, left, bottom, right = self.box[label].tolist()
        return slice(top, bottom), slice(left, right)


def extents_of(labels: Labels, count: int) -> Extents:
    """The extents of labels 1 .. count; others do not count."""
    box = np.zeros((count + 1, 4), np.int64)
    box[:, :2] = max(labels.shape) + 1
    extents = Extents(np.zeros(count + 1, np.int64), box)
    _extend(np.ascontiguousarray(labels), extents.area_px, box)
    return extents


@compiled("void(int32[:, ::1], int64[::1], int64[:, ::1])")
def _extend(labels: Labels, area_px: Indices, box: Indices) -> None:
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0:
                area_px[label] += 1
                box[label, 0] = min(box[label, 0], y)
                box[label, 1] = min(box[label, 1], x)
                box[label, 2] = y + 1
                box[label, 3] = max(box[label, 3], x + 1)


def renumbered(labels: Labels, stays: Mask) -> Labels:
    """Only the labels that stay, numbered from 1 in their old order; `stays` has an entry a label, that of 0 unread."""
    number = np.zeros(len(stays), np.int32)
    number[1:][stays[1:]] = np.arange(1, np.count_nonzero(stays[1:]) + 1)
    result = np.empty_like(labels, order="C")
    _renumber(np.ascontiguousarray(labels), number, result)
    return result


@compiled("void(int32[:, ::1], int32[::1], int32[:, ::1])")
def _renumber(labels: Labels, number: Labels, result: Labels) -> None:
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            result[y, x] = number[max(labels[y, x], 0)]
