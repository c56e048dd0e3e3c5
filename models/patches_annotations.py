"""Slides with tissue annotated in QuPath: patches on a grid, of the class whose annotations they lie in.

`slide.svs` beside `slide.geojson` or `slide.geojson.gz`. The grid begins at the slide's corner; the fields on it are as
large as the network's, at its um per px, and do not overlap.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import scale

from models.errors import TrainingError
from models.nuclei_outlines import Outlines, refuse_elsewhere
from models.nuclei_qupath import EXPORT_AGAIN, read_areas
from models.patches_examples import Patch, PatchRequest
from models.slide_fields import View, view_at
from models.slide_geojson import pair_slides

LEAST_SHARE = 0.5
"""A patch is of a class when its annotations cover more of it than this, and more than any other's do."""
_ALIKE = 1e-6
_log = logging.getLogger(__name__)


def list_annotations(request: PatchRequest) -> list[Patch]:
    """Return the patches of one slide, or of all slides of a folder that have a GeoJSON beside them.

    A patient is looked for in the slide's name. Fields with less tissue than the source's `least_tissue` are left out.

    Raises
    ------
    TrainingError
        if there is no pair of files, one cannot be read, or nothing in one is annotated as one of the classes.
    """
    return [patch for slide, geojson in pair_slides(request.path) for patch in _patches(request, slide, geojson)]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the fields of a view begin, in reading order, in px of the view."""

    view: View
    field_px: int

    def corners(self) -> NDArray[np.int64]:
        """Return (n, 2), y before x."""
        height, width = (length - length % self.field_px for length in self.view.shape)
        rows, columns = (np.arange(0, length, self.field_px) for length in (height, width))
        return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)

    def boxes(self, corners: NDArray[np.int64]) -> NDArray[Any]:
        """Return the squares (n,) that begin at corners."""
        y, x = corners.T
        squares: NDArray[Any] = shapely.box(x, y, x + self.field_px, y + self.field_px)
        return squares


def _patches(request: PatchRequest, path: Path, geojson: Path) -> list[Patch]:
    slide = request.open_slide(path, request.source.slide_mpp)
    view = view_at(slide, request.mpp or request.source.mpp)
    areas = _read_areas(geojson, request.classes)
    parts = shapely.get_parts([area for area in areas.values() if area is not None])
    refuse_elsewhere(Outlines(tuple(parts)), slide.shapes[0], geojson, path.name)
    grid, level0_px = _Grid(view, request.field_px), slide.downsamples[view.level] * view.ratio
    names, corners = list(areas), grid.corners()
    boxes = grid.boxes(corners)
    shares = np.stack([_shares(_at(area, level0_px), boxes) for area in areas.values()])
    places = _clear(shares, geojson)
    mpp = None if slide.mpp is None else slide.mpp * level0_px
    return [
        Patch(
            f"{slide.name} y {y} x {x}",
            slide.name,
            (names[int(shares[:, place].argmax())],),
            partial(view.read, y, x, request.field_px),
            mpp,
            (round(y * level0_px), round(x * level0_px)),
        )
        for place, (y, x) in zip(places, corners[places].tolist(), strict=True)
        if view.tissue_share(y, x, request.field_px) >= request.source.least_tissue
    ]


def _read_areas(geojson: Path, classes: Iterable[str]) -> dict[str, Any]:
    """Return what is annotated as each class, in level-0 px. Raises TrainingError if nothing is."""
    regions = {name: areas.nuclei for name, areas in read_areas(geojson, classes).items()}
    if not any(regions.values()):
        what = f"nothing in it is annotated as {' or '.join(regions)}"
        raise TrainingError.about(geojson, what, f"Give annotations the classes' names. {EXPORT_AGAIN}")
    return {name: shapely.union_all(one) if one else None for name, one in regions.items()}


def _at(area: Any, level0_px: float) -> Any:
    """Return a level-0 area in px of `level0_px` each."""
    return None if area is None else scale(area, 1 / level0_px, 1 / level0_px, origin=(0, 0))


def _shares(area: Any, boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share (n,) of each square that an area covers."""
    if area is None:
        return np.zeros(len(boxes))
    shapely.prepare(area)
    shares = np.asarray(shapely.covers(area, boxes), dtype=np.float64)
    partly = np.flatnonzero((shares == 0) & shapely.intersects(area, boxes))
    shares[partly] = shapely.area(shapely.intersection(area, boxes[partly])) / shapely.area(boxes[partly])
    return shares


def _clear(shares: NDArray[np.float64], geojson: Path) -> NDArray[np.int64]:
    """Return the places of the squares that are of one class, of shares (class, square); say how many are of two."""
    rival, best = np.sort(np.vstack([np.zeros_like(shares[:1]), shares]), axis=0)[-2:]
    covered = best > LEAST_SHARE
    contested = covered & (best - rival <= _ALIKE)
    if contested.any():
        _log.warning("%s: patches that lie in two classes alike, left out: %d", geojson, int(contested.sum()))
    return np.flatnonzero(covered & ~contested)
