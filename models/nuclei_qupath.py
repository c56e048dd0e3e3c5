"""QuPath's GeoJSON: a FeatureCollection or a bare list of features, with polygons in level-0 px.

Annotations of a class that a pattern matches are regions, without their holes. All other polygons are nuclei (of a
cell, its `nucleusGeometry` is), but for annotations that have no class and are too long for a nucleus.
"""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from models.data import UNDECODABLE
from models.errors import TrainingError
from models.nuclei_outlines import Outlines, Ring, mend

Polygons = list[list[Ring]]
"""Of each part the line around it, then those around its holes."""
EXPORT_AGAIN = "Export it from QuPath again: File, Export objects as GeoJSON."
LONGEST_NUCLEUS_PX = 400.0
"""100 um at 0.25 um/px, as most slides are scanned."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuPathObjects:
    """What a file holds, in level-0 px."""

    nuclei: Outlines
    regions: Outlines
    """Where every nucleus was outlined."""
    skipped: int
    """Annotations without a class that are too long for nuclei."""


def read_geojson(path: Path, regions: str, longest_px: float = LONGEST_NUCLEUS_PX) -> QuPathObjects:
    """Return the nuclei and the regions of a GeoJSON file; `regions` is a pattern such as `Region*`.

    Annotations without a class that are longer than `longest_px` level-0 px are skipped, their number is in the log.

    Raises
    ------
    TrainingError
        if it is no such file, or holds neither.
    """
    with _readable(path):
        objects = _sort(_features(path), regions, longest_px)
    if objects.skipped:
        taken = (path, longest_px, objects.skipped)
        _log.warning("%s: annotations without a class, longer than %g px and so no nuclei, skipped: %d", *taken)
    if not objects.nuclei.nuclei and not objects.regions.nuclei:
        if objects.skipped:
            what = f"no polygons in it but {objects.skipped} annotations without a class, too long for nuclei"
            raise TrainingError.about(path, what, f"Give those that are regions a class that {regions!r} matches.")
        raise TrainingError.about(path, "no polygons in it", EXPORT_AGAIN)
    return objects


def read_areas(path: Path, classes: Iterable[str]) -> dict[str, Outlines]:
    """Return, of each class, what is annotated as it in a GeoJSON file, in level-0 px, without holes.

    Raises
    ------
    TrainingError
        if it is no such file.
    """
    areas: dict[str, list[Polygons]] = {name: [] for name in classes}
    with _readable(path):
        for feature in _features(path):
            properties = feature.get("properties") or {}
            if _is_annotation(properties) and (name := _class_of(properties)) in areas:
                areas[name].append(_polygons(feature["geometry"]))
        return {name: _mend_regions(polygons) for name, polygons in areas.items()}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a file that QuPath has not written raises into a TrainingError that names it."""
    try:
        yield
    except (*UNDECODABLE, zlib.error, LookupError, TypeError, AttributeError) as error:
        what = f"no readable GeoJSON of QuPath ({type(error).__name__}: {error})"
        raise TrainingError.about(path, what, EXPORT_AGAIN) from error


def _features(path: Path) -> list[Mapping[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    read = json.loads(raw)
    return list(read["features"] if isinstance(read, dict) else read)


def _sort(features: Iterable[Mapping[str, Any]], pattern: str, longest_px: float) -> QuPathObjects:
    nuclei: list[list[Ring]] = []
    regions: list[Polygons] = []
    skipped = 0
    for feature in features:
        properties = feature.get("properties") or {}
        if _is_region(properties, pattern):
            regions.append(_polygons(feature["geometry"]))
        elif rings := [part[0] for part in _polygons(feature.get("nucleusGeometry") or feature["geometry"])]:
            if _is_unclassified(properties) and _length_px(rings) > longest_px:
                skipped += 1
            else:
                nuclei.append(rings)
    return QuPathObjects(mend(nuclei), _mend_regions(regions), skipped)


def _is_region(properties: Mapping[str, Any], pattern: str) -> bool:
    """Whether a feature is an annotation of a class that the pattern matches."""
    return _is_annotation(properties) and fnmatchcase(_class_of(properties), pattern)


def _class_of(properties: Mapping[str, Any]) -> str:
    """Return the name of a feature's class; empty where it has none."""
    return (properties.get("classification") or {}).get("name") or ""


def _is_unclassified(properties: Mapping[str, Any]) -> bool:
    return _is_annotation(properties) and not properties.get("classification")


def _is_annotation(properties: Mapping[str, Any]) -> bool:
    """Whether a feature is an annotation; QuPath 0.2 wrote `object_type`."""
    kind: str | None = properties.get("objectType", properties.get("object_type"))
    return kind == "annotation"


def _length_px(rings: Iterable[Ring]) -> float:
    """Return the longer side of the box around rings (n, 2)."""
    corners = np.concatenate(list(rings))
    return float(np.ptp(corners, axis=0).max()) if len(corners) else 0.0


def _mend_regions(regions: Iterable[Polygons]) -> Outlines:
    """Return valid regions, each without its holes; an island in a hole is a part of its own, and stays."""
    kept, repaired, skipped = [], 0, 0
    for polygons in regions:
        parts = [(mend([rings[:1]]), mend([ring] for ring in rings[1:])) for rings in polygons]
        joined = [[shapely.union_all(one.nuclei) for one in part] for part in parts]
        whole = shapely.union_all([outer.difference(holes) for outer, holes in joined])
        if whole.area > 0:
            kept.append(whole)
            repaired += any(one.repaired for part in parts for one in part)
        else:
            skipped += 1
    return Outlines(tuple(kept), repaired, skipped)


def _polygons(geometry: Mapping[str, Any]) -> Polygons:
    """Return the rings (n, 2) of a Polygon or MultiPolygon, none of anything else, such as points and lines."""
    match geometry["type"]:
        case "Polygon":
            polygons = [geometry["coordinates"]]
        case "MultiPolygon":
            polygons = geometry["coordinates"]
        case _:
            polygons = []
    return [[_corners(ring) for ring in rings] for rings in polygons if rings]


def _corners(ring: Iterable[list[float]]) -> Ring:
    return np.array([corner[:2] for corner in ring], dtype=np.float64).reshape(-1, 2)
