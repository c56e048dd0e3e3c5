"""What lies inside something else: holes, and regions within regions, told from runs and their contacts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.nuclei_runs import Contacts, Indices, Labels, Runs, boxes_of, find_contacts, find_runs, renumbered, unite

_EIGHT = np.ones((3, 3), bool)


def without_pinholes(mask: Runs, contacts: Contacts, max_hole_px: int) -> NDArray[np.bool_]:
    """(runs): a mask with its holes (8-connected background) that span max_hole_px or less along y and x.

    What touches the image's border is no hole.
    """
    holes = unite(~mask.value, contacts.sides, contacts.corners)
    count = int(holes.max(initial=0))
    small = boxes_of(mask, holes, count).side_px <= max_hole_px
    small[holes[at_border(mask)]] = False
    small[0] = False
    filled: NDArray[np.bool_] = mask.value | small[holes]
    return filled


def at_border(runs: Runs) -> NDArray[np.bool_]:
    """(runs): whether each has a pixel at the image's border."""
    (height, width), (y, x) = runs.shape, np.divmod(runs.start, runs.shape[1])
    reaches: NDArray[np.bool_] = (y == 0) | (y == height - 1) | (x == 0) | (x + runs.length == width)
    return reaches


def fill_enclosed(labels: Labels) -> Labels:
    """Give each region of a (y, x) label image what its outline encloses: holes, and regions inside it.

    Labels are 1 .. n and 4-connected; so are those returned, in the same order, less the enclosed.
    """
    runs = find_runs(labels)
    suspects = _enclosing(runs, find_contacts(runs))
    if not len(suspects):
        return labels
    count = int(runs.value.max())
    boxes = boxes_of(runs, runs.value, count)
    filled, swallows = labels.copy(), False
    for label in suspects.tolist():
        part = filled[boxes.slices(label)]
        holes = _holes(part == label)
        swallows |= bool(part[holes].any())
        part[holes] = label
    return renumbered(filled, np.bincount(filled.ravel(), minlength=count + 1) > 0) if swallows else filled


def _holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is not in a (y, x) mask, nor 8-connected to its outside; several times as fast as `binary_fill_holes`."""
    background, _ = ndimage.label(np.pad(~mask, 1, constant_values=True), _EIGHT)
    holes: NDArray[np.bool_] = ~mask & (background[1:-1, 1:-1] != background[0, 0])
    return holes


def _enclosing(runs: Runs, contacts: Contacts) -> Indices:
    """The labels that may enclose something: those beside what cannot be reached from outside, and wider and higher.

    What cannot be reached is background that is not 8-connected to the image's border, and regions that do not touch
    the background that is.
    """
    label, border = runs.value, at_border(runs)
    background = unite(label == 0, contacts.sides, contacts.corners)
    open_ = _marked(background, border)
    outside = open_[background]
    one, other = np.concatenate((contacts.sides, contacts.sides[::-1]), axis=1)
    touched = _marked(label, border)
    touched[label[other[outside[one]]]] = True
    inner = ~outside & ((label == 0) | ~touched[label])
    beside = np.flatnonzero(inner[one] & (label[other] > 0))
    regions = np.where(label > 0, label, len(touched) - 1 + background)
    boxes = boxes_of(runs, regions, int(regions.max(initial=0)))
    around, within = label[other[beside]], regions[one[beside]]
    return np.unique(around[boxes.inside(within, around)]).astype(np.int64)


def _marked(numbers: Labels, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a run of each number, 0 left out, is marked."""
    marked = np.zeros(int(numbers.max(initial=0)) + 1, bool)
    marked[numbers[marks]] = True
    marked[0] = False
    return marked
