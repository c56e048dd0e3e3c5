"""nuclei.geojson.gz against what QuPath says that it reads, and as its own Python library reads it.

The fields are those of https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html, and of the
class that reads them in QuPath 0.4 to 0.6, `qupath.lib.io.PathObjectTypeAdapters`.
"""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from tests.clients.contract import Hold, KnownSlide
from tests.clients.foreign import Foreign

_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_COLOUR = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 3, "maxItems": 3}
_PROPERTIES = {
    "type": "object",
    "required": ["objectType", "classification", "measurements"],
    "additionalProperties": False,
    "properties": {
        "objectType": {"enum": ["annotation", "detection", "cell", "tile"]},
        "name": {"type": "string"},
        "color": _COLOUR,
        "classification": {
            "type": "object",
            "required": ["name", "color"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string", "minLength": 1}, "color": _COLOUR},
        },
        "isLocked": {"type": "boolean"},
        "measurements": {"type": "object", "additionalProperties": {"type": "number"}},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_FEATURE = {
    "type": "object",
    "required": ["type", "id", "geometry", "properties"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "Feature"},
        "id": {"type": "string", "format": "uuid"},
        "geometry": {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"const": "Polygon"},
                "coordinates": {"type": "array", "items": {"type": "array", "items": _POINT, "minItems": 4}},
            },
        },
        "properties": _PROPERTIES,
    },
}
SCHEMA = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {"type": {"const": "FeatureCollection"}, "features": {"type": "array", "items": _FEATURE}},
}


def read(slide: KnownSlide) -> Any:
    # QuPath's parser takes NaN, and others do not.
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    with gzip.open(slide.folder / "nuclei.geojson.gz", "rt", encoding="utf-8") as file:
        return json.load(file, parse_constant=refuse)


def test_the_file_has_the_fields_that_qupath_reads_and_no_others(slide: KnownSlide) -> None:
    content = read(slide)
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(content)
    ids = [uuid.UUID(feature["id"]) for feature in content["features"]]
    assert len(set(ids)) == len(ids) == pq.read_metadata(slide.folder / "nuclei.parquet").num_rows


def test_outlines_lie_on_the_nuclei(slide: KnownSlide, hold: Hold) -> None:
    """QuPath's coordinates are pixels of the full resolution, from the slide's corner."""
    outlines = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in read(slide)["features"]])
    assert shapely.is_valid(outlines).all()
    centroids = shapely.centroid(outlines)
    hold(slide, "QuPath GeoJSON", np.stack([shapely.get_y(centroids), shapely.get_x(centroids)], axis=-1))


def test_measurements_are_those_of_the_outlines(slide: KnownSlide) -> None:
    for feature in read(slide)["features"]:
        outline = shapely.from_geojson(json.dumps(feature["geometry"]))
        area_um2 = outline.area * slide.truth.mpp**2
        assert feature["properties"]["measurements"]["Area µm^2"] == pytest.approx(area_um2, rel=0.01)


@pytest.mark.clients
def test_qubalab_reads_detections(slide_05: KnownSlide, hold: Hold, foreign: Foreign) -> None:
    seen = foreign("qubalab", "read_qupath.py", str(slide_05.folder / "nuclei.geojson.gz"))
    assert seen["types"] == ["DETECTION"]
    assert seen["classes"] == ["Nucleus"]
    assert seen["measurements"] == sorted(read(slide_05)["features"][0]["properties"]["measurements"])
    hold(slide_05, "QuBaLab", np.array(seen["centroids"])[:, ::-1])
