"""Slides with nuclei annotated in QuPath: `slide.svs` beside `slide.geojson` or `slide.geojson.gz`.

What a training sees is the slide inside the regions in which every nucleus was outlined, in tiles: elsewhere, nuclei
without an outline would be taught as background. Without regions it is the box around all nuclei.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.affinity import scale, translate

from models.errors import TrainingError
from models.nuclei_examples import Example, Request
from models.nuclei_image import LabelledImage
from models.nuclei_outlines import draw, refuse_elsewhere
from models.nuclei_qupath import read_geojson
from models.slide_fields import View, view_at
from models.slide_geojson import pair_slides
from models.slide_reader import Region

TILE_PX = 1024
"""Longest side of the tiles that a region is cut into."""
LEAST_SIDE_PX = 64
LONGEST_NUCLEUS_UM = 100.0
"""Longer outlines are tissue that somebody annotated, not nuclei."""
_BISECTIONS = 12
_ROUNDING_PX = 0.5
_log = logging.getLogger(__name__)


def list_geojson(request: Request) -> list[Example]:
    """Return the tiles of one slide, or of all slides of a folder that have a GeoJSON beside them.

    Raises
    ------
    TrainingError
        if there is no pair of files, one cannot be read, or a slide's um per px are wanted and unknown.
    """
    return [example for slide, geojson in pair_slides(request.path) for example in _tiles(request, slide, geojson)]


def _tiles(request: Request, path: Path, geojson: Path) -> list[Example]:
    """Return the tiles of a slide's regions, at the level nearest to the wanted um per px."""
    slide = request.open_slide(path, request.source.slide_mpp)
    view = view_at(slide, request.source.mpp or request.mpp)
    objects = read_geojson(geojson, request.source.regions)
    objects.nuclei.report(geojson)
    refuse_elsewhere(objects.nuclei, slide.shapes[0], geojson, path.name)
    downsample = slide.downsamples[view.level]
    nuclei = _at(_without_tissue(objects.nuclei.nuclei, slide.mpp, geojson), downsample)
    areas = _at(objects.regions.nuclei, downsample)
    whole = [shapely.box(*shapely.total_bounds(np.asarray(nuclei, dtype=object)))] if nuclei else []
    annotated = AnnotatedSlide(view, nuclei, shapely.STRtree(nuclei))
    examples = [
        Example(annotated.name_of(tile), slide.name, partial(annotated.read, tile), _mpp_of(view))
        for area in areas or whole
        for tile in lay_tiles(area, slide.shapes[view.level])
    ]
    if not examples:
        what = f"no region of it, nor the box of its nuclei, holds a square of {LEAST_SIDE_PX} px"
        raise TrainingError.about(geojson, what, "Annotate rectangles in which all nuclei are outlined, as `regions`.")
    return examples


def _mpp_of(view: View) -> float | None:
    mpp = view.slide.mpp
    return None if mpp is None else mpp * view.slide.downsamples[view.level]


def _at(geometries: Iterable[Any], downsample: float) -> list[Any]:
    """Return level-0 geometries in px of a level."""
    return [scale(one, 1 / downsample, 1 / downsample, origin=(0, 0)) for one in geometries]


def _without_tissue(nuclei: Sequence[Any], mpp: float | None, geojson: Path) -> list[Any]:
    """Return the outlines that are no longer than a nucleus can be, the number of the others in the log."""
    if mpp is None:
        return list(nuclei)
    kept = [one for one in nuclei if _length_px(one) * mpp <= LONGEST_NUCLEUS_UM]
    if len(kept) < len(nuclei):
        count = len(nuclei) - len(kept)
        _log.warning("%s: outlines longer than %g um, no nuclei: %d", geojson, LONGEST_NUCLEUS_UM, count)
    return kept


def _length_px(geometry: Any) -> float:
    left, top, right, bottom = geometry.bounds
    return float(max(right - left, bottom - top))


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedSlide:
    """A level of a slide with the nuclei on it, in px of the level."""

    view: View
    nuclei: list[Any]
    index: Any
    """STRtree of the nuclei."""

    def name_of(self, tile: Region) -> str:
        """Return what a tile is called."""
        return f"{self.view.slide.name} y {tile.y} x {tile.x}"

    def read(self, tile: Region) -> LabelledImage:
        """Return a tile: the level's own px. Raises TrainingError if they do not decode."""
        pixels = self.view.slide.read(self.view.level, tile)
        box = shapely.box(tile.x, tile.y, tile.x + tile.width, tile.y + tile.height)
        places = sorted(self.index.query(box, predicate="intersects").tolist())
        nuclei = [translate(self.nuclei[place], -tile.x, -tile.y) for place in places]
        return LabelledImage(self.name_of(tile), pixels, draw(nuclei, (tile.height, tile.width)), instances=True)


def lay_tiles(area: Any, shape: tuple[int, int]) -> Iterator[Region]:
    """Give tiles of at most 1,024 px a side that partition an area's rectangle, inside a level of `shape` (y, x).

    The rectangle is the area's box or, where its outline is no rectangle, that box shrunk about its centre until
    it lies in the outline. Nothing comes of areas in which that is narrower than 64 px.
    """
    left, top, right, bottom = _rectangle_in(area.intersection(shapely.box(0, 0, shape[1], shape[0])))
    rows, columns = (_cut(start, stop) for start, stop in ((top, bottom), (left, right)))
    for y, below in rows:
        for x, beyond in columns:
            yield Region(y, x, below - y, beyond - x)


def _rectangle_in(area: Any) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of the largest box of the area's proportions about its middle in the area."""
    if area.is_empty:
        return 0.0, 0.0, 0.0, 0.0
    box, room = shapely.box(*area.bounds), area.buffer(_ROUNDING_PX, join_style="mitre")
    if room.covers(box):
        return tuple(box.bounds)
    middle = area.centroid if area.covers(area.centroid) else area.representative_point()
    centred = translate(box, middle.x - box.centroid.x, middle.y - box.centroid.y)
    fits, fails = 0.0, 1.0
    for _ in range(_BISECTIONS):
        share = (fits + fails) / 2
        covered = room.covers(scale(centred, share, share))
        fits, fails = (share, fails) if covered else (fits, share)
    return tuple(scale(centred, fits, fits).bounds)


def _cut(start: float, stop: float) -> list[tuple[int, int]]:
    """Return the whole px between two places as equal parts of at most `TILE_PX`; none where there are too few."""
    first, last = int(np.ceil(start - _ROUNDING_PX)), int(np.floor(stop + _ROUNDING_PX))
    if last - first < LEAST_SIDE_PX:
        return []
    parts = -(-(last - first) // TILE_PX)
    borders = np.linspace(first, last, parts + 1).round().astype(int).tolist()
    return list(pairwise(borders))
