"""Rows of nuclei: outlines, places and shapes of the regions of a label image, all at once.

Sums are over whole numbers (pixels counted from the nucleus's own corner, or from the frame's; probabilities and
optical densities in fixed point), so that every tile that sees a nucleus computes the same bits.

Optical density is -log10(I / 255), of 8-bit light I of at least 1, so 0 is white and 2.4 is black. That of a stain is
unmixed from the three channels by the vectors of Ruifrok and Johnston (Anal Quant Cytol Histol 23:291, 2001) for
haematoxylin, eosin and DAB, as in `skimage.color.hed_from_rgb`. Unmixing is linear, so that the mean of a stain follows
from the means of the channels. It is not clipped: a stain may come out slightly negative where it is absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from skimage.color import hed_from_rgb

from pipeline.compiled import compiled
from pipeline.geometry import Box, Frame
from pipeline.nuclei_outline import Outlines, trace
from pipeline.nuclei_regions import Indices, Labels

SCHEMA = pa.schema(
    [
        ("geometry", pa.binary()),
        *(
            (name, pa.float64())
            for name in (
                "centroid_x_level0_px", "centroid_y_level0_px", "centroid_x_um", "centroid_y_um", "area_um2",
                "area_level0_px", "probability", "perimeter_um", "circularity", "eccentricity", "major_axis_um",
                "minor_axis_um", "hematoxylin_od", "eosin_od",
            )
        ),
    ]
)  # fmt: skip
"""Of a row a nucleus. `geometry` is a WKB polygon in level-0 px; `probability` the mean of interior + contour over the
nucleus's pixels, `hematoxylin_od` and `eosin_od` the mean optical density of a stain."""

Chosen = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]


# Fixed point: a probability or an optical density of 1.
_ONE = float(2**24)
_OPTICAL_DENSITY = np.rint(-np.log10(np.maximum(np.arange(256), 1) / 255) * _ONE).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read and what a network says of it."""

    read: Box
    """Which pixels of the frame."""
    pixels: NDArray[np.uint8]
    """(y, x, 3) RGB over `read`."""
    nucleus: NDArray[np.float32]
    """(y, x) over `read`: the probability of being nucleus."""


@dataclass(frozen=True, slots=True)
class _Regions:
    """Sums over the pixels of each label; entry i is label i + 1."""

    pixels: NDArray[np.float64]
    centroid_y: NDArray[np.float64]
    centroid_x: NDArray[np.float64]
    variance_y: NDArray[np.float64]
    variance_x: NDArray[np.float64]
    covariance: NDArray[np.float64]
    light: NDArray[np.float64]
    """(4, labels): means of the optical densities of red, green and blue, and of the probability."""


def measure(labels: Labels, seen: Seen, frame: Frame, level0: Frame, chosen: Chosen) -> pa.Table:
    """Rows of `SCHEMA`, sorted by centroid, of the labels whose centroids are chosen.

    Parameters
    ----------
    labels
        (y, x) over `seen.read`: 1 .. n without gaps, each one 4-connected region without holes.
    chosen
        Which centroids, (y, x) in px of `frame`, become rows.
    """
    regions = _sum_up(labels, seen)
    rows = np.flatnonzero(chosen(regions.centroid_y, regions.centroid_x))
    rows = rows[np.lexsort((regions.pixels[rows], regions.centroid_x[rows], regions.centroid_y[rows]))]
    outlines = trace(labels, rows + 1, (seen.read.y, seen.read.x))
    columns = _places(regions, rows, frame, level0) | _shapes(regions, rows, outlines, frame, level0)
    return pa.table(columns | _means(regions.light[:, rows]), schema=SCHEMA)


def _sum_up(labels: Labels, seen: Seen) -> _Regions:
    """Sums by label. Pixel i has its centre at i + 0.5."""
    count = int(labels.max(initial=0))
    corner, sums = np.zeros((count, 2), np.int64), np.zeros((count, 10), np.int64)
    nucleus = np.ascontiguousarray(seen.nucleus)
    _add_up(np.ascontiguousarray(labels), seen.pixels, nucleus, _OPTICAL_DENSITY, corner, sums)
    pixels, sum_y, sum_x, sum_yy, sum_xx, sum_yx = sums[:, :6].T.astype(np.float64)
    corner_y, corner_x = corner.T
    return _Regions(
        pixels,
        # One division of whole numbers: the correctly rounded mean, in every tile.
        (2 * (sum_y + pixels * (corner_y + seen.read.y)) + pixels) / (2 * pixels),
        (2 * (sum_x + pixels * (corner_x + seen.read.x)) + pixels) / (2 * pixels),
        (pixels * sum_yy - sum_y**2) / pixels**2,
        (pixels * sum_xx - sum_x**2) / pixels**2,
        (pixels * sum_yx - sum_y * sum_x) / pixels**2,
        sums[:, 6:].T / pixels / _ONE,
    )


@compiled(
    "void(int32[:, ::1], Array(uint8, 3, 'A', True), Array(float32, 2, 'C', True), int64[::1], int64[:, ::1],"
    " int64[:, ::1])"
)
def _add_up(
    labels: Labels, pixels: NDArray[np.uint8], nucleus: NDArray[np.float32], density: Indices, corner: Indices,
    sums: Indices,
) -> None:  # fmt: skip
    """Coordinates are counted from the nucleus's first pixel, its corner, so that squares stay small and exact."""
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x] - 1
            if label < 0:
                continue
            total = sums[label]
            if total[0] == 0:
                corner[label, 0], corner[label, 1] = y, x
            down, right = y - corner[label, 0], x - corner[label, 1]
            total[0] += 1
            total[1] += down
            total[2] += right
            total[3] += down * down
            total[4] += right * right
            total[5] += down * right
            for channel in range(3):
                total[6 + channel] += density[pixels[y, x, channel]]
            total[9] += np.int64(np.rint(nucleus[y, x] * np.float64(_ONE)))


def _means(light: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Probability and stains of each row."""
    red, green, blue, probability = light
    # Term by term: a matrix product may round otherwise where there are other numbers of rows.
    stain = [red * one + green * two + blue * three for one, two, three in hed_from_rgb.T.tolist()]
    return {"probability": np.minimum(probability, 1.0), "hematoxylin_od": stain[0], "eosin_od": stain[1]}


def _places(regions: _Regions, rows: Indices, frame: Frame, level0: Frame) -> dict[str, NDArray[np.float64]]:
    to_level0, y, x = level0.pixels_per(frame), regions.centroid_y[rows], regions.centroid_x[rows]
    return {
        "centroid_x_level0_px": x * to_level0,
        "centroid_y_level0_px": y * to_level0,
        "centroid_x_um": x * frame.mpp,
        "centroid_y_um": y * frame.mpp,
    }


def _shapes(
    regions: _Regions, rows: Indices, outlines: Outlines, frame: Frame, level0: Frame
) -> dict[str, NDArray[np.object_] | NDArray[np.float64]]:
    to_level0 = level0.pixels_per(frame)
    major_px, minor_px = _axes(regions.variance_y[rows], regions.variance_x[rows], regions.covariance[rows])
    return {
        "geometry": polygons(outlines, to_level0, level0),
        "area_um2": outlines.area_px * frame.mpp**2,
        "area_level0_px": outlines.area_px * to_level0**2,
        "perimeter_um": outlines.perimeter_px * frame.mpp,
        "circularity": 4 * np.pi * outlines.area_px / outlines.perimeter_px**2,
        "eccentricity": np.sqrt(1 - (minor_px / major_px) ** 2),
        "major_axis_um": major_px * frame.mpp,
        "minor_axis_um": minor_px * frame.mpp,
    }


def polygons(outlines: Outlines, to_level0: float, level0: Frame) -> NDArray[np.object_]:
    """WKB polygons in level-0 px, one a ring, corners counter-clockwise as numbers (x, y), none beyond the slide.

    The last pixels of a resampled frame may overhang the slide by less than one: moving such corners back keeps a ring
    simple, as an outline has no corner between a pixel's near and its far edge but the one in the middle.
    """
    if len(outlines.start) < 2:
        return np.zeros(0, object)
    corners = np.minimum(outlines.corners_halfpx[:, ::-1] * (to_level0 / 2), (level0.width, level0.height))
    ring = np.repeat(np.arange(len(outlines.start) - 1), np.diff(outlines.start))
    made = shapely.polygons(shapely.linearrings(corners, indices=ring))
    return np.asarray(shapely.to_wkb(made, byte_order=1))


def _axes(
    variance_y: NDArray[np.float64], variance_x: NDArray[np.float64], covariance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Full axes of the ellipse with the same second moments; a pixel alone has those of a square, 1/12."""
    mean = (variance_y + variance_x) / 2 + 1 / 12
    spread = np.hypot((variance_y - variance_x) / 2, covariance)
    return 4 * np.sqrt(mean + spread), 4 * np.sqrt(mean - spread)
