"""Means over the neighbourhood of each pixel of a large (y, x) picture, a few rows at a time: those stay in the cache.

Sums are taken in the order and the precision of `scipy.ndimage`, so that results are its own to the last bit, several
times as fast. Beyond the picture its edge goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# What a strip holds: three arrays of doubles of so many pixels lie in a core's cache.
_STRIP_PX = 2**16
# Of standard deviations, where scipy ends a Gaussian.
_GAUSSIAN_REACH = 4.0


def strips(shape: tuple[int, ...], margin_px: int = 0) -> Iterator[slice]:
    """The rows of a (y, x) picture in stretches that fit the cache, and are longer than what is read around them."""
    height, width = shape
    rows = max(_STRIP_PX // width, 4 * margin_px, 1)
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def rows_around(picture: NDArray[Any], rows: slice, margin_px: int) -> NDArray[Any]:
    """Rows of a (..., y, x) picture and `margin_px` more on both sides."""
    top, bottom, height = rows.start - margin_px, rows.stop + margin_px, picture.shape[-2]
    if top >= 0 and bottom <= height:
        return picture[..., top:bottom, :]
    return np.take(picture, np.arange(top, bottom).clip(0, height - 1), axis=-2)


def gaussian_weights(sigma_px: float) -> Doubles:
    """The weights of a Gaussian, from its middle outwards."""
    reach = int(_GAUSSIAN_REACH * sigma_px + 0.5)
    both = np.exp(-0.5 / (sigma_px * sigma_px) * np.arange(-reach, reach + 1) ** 2)
    weights: Doubles = (both / both.sum())[reach:]
    return weights


class Room:
    """Arrays that are used again from strip to strip: new ones are new pages, which the kernel zeroes one by one."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], kind: type[np.generic] = np.float64) -> NDArray[Any]:
        """An array with anything in it, the same one each time; the last strip's is smaller."""
        held = self._held.get(name)
        if held is None or held.shape != shape:
            held = self._held[name] = np.empty(shape, kind)
        return held


def weighted_mean(values: NDArray[Any], weights: Doubles, out: Floats, room: Room) -> None:
    """The mean around each pixel by `gaussian_weights`; values (y, x) come with as many rows more above and below."""
    reach = len(weights) - 1
    _weighted(_doubles(values, room), weights, out, room)
    _weighted(_sideways(out, reach, room), weights, out.T, room)


def box_mean(values: NDArray[Any], side_px: int, out: Floats, room: Room) -> None:
    """The mean of the square around each pixel; values (y, x) come with half of its odd side more above and below."""
    _boxed(_doubles(values, room), side_px, out, room)
    _boxed(_sideways(out, side_px // 2, room), side_px, out.T, room)


def deviation(values: Floats, side_px: int, room: Room) -> Floats:
    """The standard deviation in the square around each pixel, good until the next one; values as for `box_mean`."""
    shape = len(values) - side_px + 1, values.shape[1]
    mean, variance = room("mean", shape, np.float32), room("variance", shape, np.float32)
    box_mean(values, side_px, mean, room)
    box_mean(np.multiply(values, values, out=room("squares", values.shape, np.float32)), side_px, variance, room)
    variance -= np.multiply(mean, mean, out=mean)
    np.maximum(variance, 0, out=variance)
    return np.asarray(np.sqrt(variance, out=variance))


def _weighted(values: Doubles, weights: Doubles, out: Floats, room: Room) -> None:
    """Along the first axis, outermost pairs first."""
    reach, length = len(weights) - 1, len(out)
    total, pair = _like(out, "total", room), _like(out, "pair", room)
    np.multiply(values[reach : reach + length], weights[0], out=total)
    for away in range(reach, 0, -1):
        np.add(values[reach - away :][:length], values[reach + away :][:length], out=pair)
        pair *= weights[away]
        total += pair
    out[...] = total


def _boxed(values: Doubles, side_px: int, out: Floats, room: Room) -> None:
    """Along the first axis."""
    total, length = _like(out, "total", room), len(out)
    np.add(values[:length], values[1:][:length], out=total)
    for start in range(2, side_px):
        total += values[start:][:length]
    np.divide(total, side_px, out=out, casting="same_kind")


def _like(out: Floats, name: str, room: Room) -> Doubles:
    """Room for doubles that lie in memory as `out` does."""
    return room(name, out.shape) if out.flags.c_contiguous else room(name, out.T.shape).T


def _doubles(values: NDArray[Any], room: Room) -> Doubles:
    doubles = room("doubles", values.shape)
    doubles[...] = values
    return doubles


def _sideways(values: Floats, margin_px: int, room: Room) -> Doubles:
    """Doubles (x, y) of (y, x) values, with their first and last column again as often as `margin_px`."""
    height, width = values.shape
    wide = room("wide", (height, width + 2 * margin_px))
    wide[:, margin_px : margin_px + width] = values
    wide[:, :margin_px] = values[:, :1]
    wide[:, margin_px + width :] = values[:, -1:]
    return wide.T
