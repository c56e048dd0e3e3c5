"""Rows of nuclei: outlines, places and shapes of the regions of a label image, all at once.

Sums are over whole numbers (pixels counted from the nucleus's own corner, or from the frame's), so that every tile that
sees a nucleus computes the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.nuclei_outline import Outlines, trace

SCHEMA = pa.schema(
    [
        ("geometry", pa.binary()),
        *(
            (name, pa.float64())
            for name in (
                "centroid_x_level0_px", "centroid_y_level0_px", "centroid_x_um", "centroid_y_um", "area_um2",
                "area_level0_px", "probability", "perimeter_um", "circularity", "eccentricity", "major_axis_um",
                "minor_axis_um",
            )
        ),
    ]
)  # fmt: skip
"""Of a row a nucleus. `geometry` is a WKB polygon in level-0 px; `probability` the mean of interior + contour."""

Chosen = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class _Regions:
    """Sums over the pixels of each label; entry i is label i + 1."""

    pixels: NDArray[np.int64]
    centroid_y: NDArray[np.float64]
    centroid_x: NDArray[np.float64]
    probability: NDArray[np.float64]
    variance_y: NDArray[np.float64]
    variance_x: NDArray[np.float64]
    covariance: NDArray[np.float64]


def measure(
    labels: NDArray[np.int32], nucleus: NDArray[np.float32], read: Box, frame: Frame, level0: Frame, chosen: Chosen
) -> pa.Table:
    """Rows of `SCHEMA`, sorted by centroid, of the labels whose centroids are chosen.

    Parameters
    ----------
    labels
        (y, x) over `read`: 1 .. n without gaps, each one 4-connected region without holes.
    nucleus
        (y, x) over `read`: the probability of being nucleus.
    chosen
        Which centroids, (y, x) in px of `frame`, become rows.
    """
    regions = _sum_up(labels, nucleus, read)
    rows = np.flatnonzero(chosen(regions.centroid_y, regions.centroid_x))
    rows = rows[np.lexsort((regions.pixels[rows], regions.centroid_x[rows], regions.centroid_y[rows]))]
    outlines = trace(labels, rows + 1, (read.y, read.x))
    return _table(regions, rows, outlines, frame, level0)


def _sum_up(labels: NDArray[np.int32], nucleus: NDArray[np.float32], read: Box) -> _Regions:
    """Sums of coordinates and probabilities, by label. Pixel i has its centre at i + 0.5."""
    count = int(labels.max(initial=0))
    flat = labels.reshape(-1)
    place = np.flatnonzero(flat)
    label = flat[place] - 1
    y, x = np.divmod(place, labels.shape[1])
    pixels = np.bincount(label, minlength=count)
    # Counted from one of the nucleus's own pixels, so that squares stay small and exact.
    corner_y, corner_x = np.zeros((2, count), np.int64)
    corner_y[label[::-1]], corner_x[label[::-1]] = y[::-1], x[::-1]
    y, x = y - corner_y[label], x - corner_x[label]

    def total(values: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(label, weights=values, minlength=count), np.float64)

    sum_y, sum_x = total(y), total(x)
    return _Regions(
        pixels,
        # One division of whole numbers: the correctly rounded mean, in every tile.
        (2 * (sum_y + pixels * (corner_y + read.y)) + pixels) / (2 * pixels),
        (2 * (sum_x + pixels * (corner_x + read.x)) + pixels) / (2 * pixels),
        total(nucleus.reshape(-1)[place]) / pixels,
        (pixels * total(y * y) - sum_y**2) / pixels**2,
        (pixels * total(x * x) - sum_x**2) / pixels**2,
        (pixels * total(y * x) - sum_y * sum_x) / pixels**2,
    )


def _table(regions: _Regions, rows: NDArray[np.int64], outlines: Outlines, frame: Frame, level0: Frame) -> pa.Table:
    to_level0 = level0.pixels_per(frame)
    y, x = regions.centroid_y[rows], regions.centroid_x[rows]
    major_px, minor_px = _axes(regions.variance_y[rows], regions.variance_x[rows], regions.covariance[rows])
    columns = {
        "geometry": polygons(outlines, to_level0),
        "centroid_x_level0_px": x * to_level0,
        "centroid_y_level0_px": y * to_level0,
        "centroid_x_um": x * frame.mpp,
        "centroid_y_um": y * frame.mpp,
        "area_um2": outlines.area_px * frame.mpp**2,
        "area_level0_px": outlines.area_px * to_level0**2,
        "probability": np.minimum(regions.probability[rows], 1.0),
        "perimeter_um": outlines.perimeter_px * frame.mpp,
        "circularity": 4 * np.pi * outlines.area_px / outlines.perimeter_px**2,
        "eccentricity": np.sqrt(1 - (minor_px / major_px) ** 2),
        "major_axis_um": major_px * frame.mpp,
        "minor_axis_um": minor_px * frame.mpp,
    }
    return pa.table(columns, schema=SCHEMA)


def polygons(outlines: Outlines, to_level0: float) -> NDArray[np.object_]:
    """WKB polygons in level-0 px, one a ring, corners counter-clockwise as numbers (x, y)."""
    if len(outlines.start) < 2:
        return np.zeros(0, object)
    corners = outlines.corners_halfpx[:, ::-1] * (to_level0 / 2)
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
