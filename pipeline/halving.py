"""Half the pixels along each axis: means of 2 x 2 for pictures and maps, the commonest of 2 x 2 for labels.

The first pixel of what is halved has even indices in its frame, so that tiles give what the whole gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows that are halved at a time: their sums stay in a core's cache.
_BAND_ROWS = 128


def halve_mean(pixels: NDArray[Any]) -> NDArray[Any]:
    """The mean of each 2 x 2 pixels of a (y, x, c) array; of fewer at odd edges; NaN left out.

    Bytes are halved fastest where each channel lies in memory by itself, and so does their result.
    """
    if pixels.dtype == np.uint8:
        return _halve_bytes(pixels)
    quads = np.stack(_quads(pixels))
    known = ~np.isnan(quads)
    sums, counts = np.where(known, quads, 0).sum(axis=0), known.sum(axis=0)
    means = np.full(sums.shape, np.nan, pixels.dtype)
    # Not `numpy.nanmean`: it warns where there is nothing, and warnings cannot be silenced for one thread alone.
    np.divide(sums, counts, out=means, where=counts > 0, casting="unsafe")
    return means


def _halve_bytes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Neighbours along x are taken as one number of two bytes, so that every sum runs over memory as it lies."""
    planes = np.ascontiguousarray(np.moveaxis(_even(pixels), -1, 0))
    halved = np.empty((planes.shape[0], planes.shape[1] // 2, planes.shape[2] // 2), np.uint8)
    for plane, half in zip(planes.view(np.uint16), halved, strict=True):
        for begin in range(0, len(plane), _BAND_ROWS):
            pairs = plane[begin : begin + _BAND_ROWS]
            sums = (pairs & 255) + (pairs >> 8)
            quads = sums[0::2] + sums[1::2]
            quads += 2
            quads >>= 2
            half[begin // 2 : begin // 2 + len(quads)] = quads
    return np.moveaxis(halved, 0, -1)


def halve_labels(pixels: NDArray[Any]) -> NDArray[Any]:
    """The commonest of each 2 x 2 pixels of a (y, x) array.

    Two against two, the larger wins on every second pixel, as on a chessboard: so labels neither drift, as they do when
    every second pixel is kept, nor grow. Of four that all differ, one of the two in the middle is taken.
    """
    a, b, c, d = _quads(pixels)
    halved = a.copy()
    if (pixels == pixels[:1, :1]).all():  # all background, as a rule
        return halved
    y, x = np.nonzero((a != b) | (a != c) | (a != d))  # most lie inside a label, or outside all
    if len(y):
        halved[y, x] = _commonest(np.stack([quad[y, x] for quad in (a, b, c, d)]), (y + x) % 2 == 1)
    return halved


def _commonest(four: NDArray[Any], black: NDArray[np.bool_]) -> NDArray[Any]:
    """Of (4, n) values the commonest of each four; `black` says whose ties go to the larger."""
    first, second, third, fourth = np.sort(four, axis=0)
    pair_low, pair_high = first == second, third == fourth
    take_high = (second != third) & pair_high & (~pair_low | black)
    return np.asarray(np.where(take_high, fourth, second))


def _quads(pixels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The four pixels of each 2 x 2 of a (y, x, ...) array; odd edges repeat their last ones."""
    even = _even(pixels)
    return even[0::2, 0::2], even[0::2, 1::2], even[1::2, 0::2], even[1::2, 1::2]


def _even(pixels: NDArray[Any]) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    if not (height % 2 or width % 2):
        return pixels
    return np.pad(pixels, ((0, height % 2), (0, width % 2), *((0, 0),) * (pixels.ndim - 2)), mode="edge")
