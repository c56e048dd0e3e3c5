"""Masks (y, x) grown and shrunk by discs, their small holes filled, their specks dropped."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.runs import Labels, Runs, areas_of, at_border, find_contacts, find_runs, unite

Mask = NDArray[np.bool_]


def grown(mask: Mask, reach_px: float) -> Mask:
    """The mask and what lies within `reach_px` of it."""
    if not mask.any():
        return mask
    reach = int(reach_px)
    half_widths = [math.isqrt(int(reach_px**2) - down**2) for down in range(reach + 1)]
    whole, wide, width = mask.copy(), mask.copy(), 0
    for down in range(min(reach, len(mask) - 1), -1, -1):  # the disc's rows, which get wider towards its middle
        while width < half_widths[down]:
            width += 1
            wide[:, width:] |= mask[:, :-width]
            wide[:, :-width] |= mask[:, width:]
        whole[down:] |= wide[: len(mask) - down]
        whole[: len(mask) - down] |= wide[down:]
    return whole


def eroded(mask: Mask, reach_px: float) -> Mask:
    """Undo `grown`; what lies beyond the picture does not erode it."""
    if mask.all():
        return mask
    return ~grown(~mask, reach_px)


def solid(mask: Mask, largest_hole_px: int, smallest_px: int) -> Mask:
    """Fill holes up to a size (not what the picture's border cuts: that may be the open), drop pieces up to a size.

    Pixels of a piece touch by their sides; a hole ends at the border even where only corners of its pixels lead there.
    """
    runs = find_runs(mask)
    contacts = find_contacts(runs)
    open_air = _reaching_the_border(runs, unite(~runs.value, contacts.sides, contacts.corners))
    holes = unite(~runs.value & ~open_air, contacts.sides)
    filled = runs.value | (holes > 0) & (_sizes(runs, holes) <= largest_hole_px)
    pieces = unite(filled, contacts.sides)
    return runs.paint(filled & (_sizes(runs, pieces) > smallest_px))


def without_specks(mask: Mask, largest_px: int) -> Mask:
    """The mask without its pieces of up to `largest_px`, whose pixels touch by their sides."""
    runs = find_runs(mask)
    pieces = unite(runs.value, find_contacts(runs).sides)
    return runs.paint(runs.value & (_sizes(runs, pieces) > largest_px))


def labelled(mask: Mask) -> tuple[Labels, int]:
    """Number the pieces of a mask, whose pixels touch by their sides, (pixels) in reading order; and how many."""
    runs = find_runs(mask)
    pieces = unite(runs.value, find_contacts(runs).sides)
    return runs.paint(pieces).reshape(-1), int(pieces.max())


def _reaching_the_border(runs: Runs, groups: Labels) -> Mask:
    """(runs): whether it is in a group of which a pixel lies on the picture's border."""
    reaching = np.zeros(int(groups.max()) + 1, np.bool_)
    reaching[groups[at_border(runs)]] = True
    reaching[0] = False
    return reaching[groups]


def _sizes(runs: Runs, groups: Labels) -> NDArray[np.int64]:
    """(runs): the pixels of its whole group."""
    sizes: NDArray[np.int64] = areas_of(runs, groups, int(groups.max()))[groups]
    return sizes
