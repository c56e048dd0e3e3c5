"""Outlines of nuclei, as people draw them, and the label image that they make.

A line that crosses itself is mended: the nucleus is all that it encloses. Coordinates are (x, y) px from the image's
corner, px i covers i to i + 1, and a px belongs to the outline that holds its centre.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from skimage.draw import polygon

from models.errors import TrainingError

Ring = NDArray[np.float64]
"""Corners (n, 2) of a line around a nucleus, x before y; whether the first is repeated does not matter."""
LEAST_CORNERS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlines:
    """Nuclei as valid polygons, in the order of the file."""

    nuclei: tuple[shapely.Geometry, ...]
    """Polygons, or several of one nucleus (MultiPolygon)."""
    repaired: int = 0
    """Those whose line crossed or touched itself."""
    skipped: int = 0
    """Those left out: fewer than three corners, coordinates that are no numbers, or no area."""

    def report(self, name: str | Path) -> None:
        """Say in the log what was wrong with a file's outlines."""
        if self.repaired or self.skipped:
            counts = self.repaired, self.skipped, len(self.nuclei) + self.skipped
            _log.warning("%s: outlines that cross themselves, mended: %d; unusable, skipped: %d; of %d", name, *counts)


def mend(nuclei: Iterable[Sequence[Ring]]) -> Outlines:
    """Return valid outlines of nuclei, each given as the rings around its parts."""
    kept, repaired, skipped = [], 0, 0
    for rings in nuclei:
        lines = [_closed(ring) for ring in rings if len(ring) >= LEAST_CORNERS and np.isfinite(ring).all()]
        parts = [shapely.Polygon(line) for line in lines]
        crossing = [not part.is_valid for part in parts]
        whole = shapely.union_all(
            [enclosed(line) if wrong else part for line, part, wrong in zip(lines, parts, crossing, strict=True)]
        )
        if whole.area > 0:
            kept.append(whole)
            repaired += any(crossing)
        else:
            skipped += 1
    return Outlines(tuple(kept), repaired, skipped)


def enclosed(ring: Ring) -> shapely.Geometry:
    """Return all that a closed line (n, 2) encloses, however often it crosses itself: both halves of an eight.

    The line is cut where it crosses itself, and the faces between the parts are joined.
    """
    parts = shapely.node(shapely.LineString(ring))
    return shapely.union_all(shapely.get_parts(shapely.polygonize(shapely.get_parts(parts))))


def _closed(ring: Ring) -> Ring:
    return ring if np.array_equal(ring[0], ring[-1]) else np.concatenate([ring, ring[:1]])


def draw(nuclei: Sequence[shapely.Geometry], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return labels (y, x) of nuclei, numbered from 1 in their order.

    Px that several outlines hold go to the smallest of them, so that none disappears under a larger one. Holes are
    filled: nuclei have none.
    """
    labels = np.zeros(shape, np.int32)
    areas = shapely.area(np.asarray(nuclei, dtype=object))
    for place in np.argsort(-areas, kind="stable"):
        for part in shapely.get_parts(nuclei[place]):
            x, y = shapely.get_coordinates(shapely.get_exterior_ring(part)).T - 0.5
            labels[polygon(y, x, shape)] = place + 1
    return labels


def refuse_elsewhere(outlines: Outlines, shape: tuple[int, int], name: str | Path, image: str) -> None:
    """Raise if most outlines lie outside an image (y, x): they are another image's, or another level's.

    Raises
    ------
    TrainingError
        that names both files.
    """
    height, width = shape
    if not outlines.nuclei:
        return
    inside = shapely.intersects(np.asarray(outlines.nuclei, dtype=object), shapely.box(0, 0, width, height))
    if inside.mean() < 0.5:
        what = f"{int((~inside).sum())} of {inside.size} outlines lie outside {image} of {width} x {height} px"
        raise TrainingError.about(name, what, "Give the annotations of this image, in px of its full resolution.")
