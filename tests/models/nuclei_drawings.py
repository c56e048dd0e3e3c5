"""Labels, and the outlines that a person would have drawn around them, for the tests of nuclei's layouts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

Labels = NDArray[np.int32]


def discs(height: int = 60, width: int = 80, radius_px: int = 6) -> Labels:
    """Labels (y, x) of nine round nuclei, two of which touch, numbered with gaps."""
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for place in range(9):
        row, column = divmod(place, 3)
        centre_y, centre_x = 10 + 18 * row, 12 + 24 * column - (12 if place == 1 else 0)
        labels[(y - centre_y) ** 2 + (x - centre_x) ** 2 <= radius_px**2] = 3 * place + 2
    return labels


def outlines_of(labels: Labels) -> list[NDArray[np.float64]]:
    """The outlines of all nuclei, in the order of their numbers.

    Each is the longest line half-way between the px of a nucleus and those around it: corners (n, 2), x before y, in px
    from the image's corner (px i covers i to i + 1).
    """
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    return [_outline(labels[box] == value, (box[1].start, box[0].start)) for value, box in boxes if box]


def _outline(inside: NDArray[np.bool_], corner: tuple[int, int]) -> NDArray[np.float64]:
    longest = max(find_contours(np.pad(inside, 1).astype(np.float64), 0.5), key=len)
    corners: NDArray[np.float64] = longest[:, ::-1] - 0.5 + np.array(corner)
    return corners


def renumbered(labels: Labels) -> Labels:
    """Labels with the numbers 1 to n, in their order."""
    values, places = np.unique(labels, return_inverse=True)
    new: Labels = (places.reshape(labels.shape) + (values[0] != 0)).astype(np.int32)
    return new
