from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import TrainingError
from models.nuclei_outlines import draw
from models.nuclei_qupath import read_areas, read_geojson
from tests.models.nuclei_drawings import discs, outlines_of, renumbered

BOX = [[0, 0], [80, 0], [80, 60], [0, 60], [0, 0]]
POINT = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}


def feature(corners: Any, kind: str = "detection", name: str = "") -> dict[str, Any]:
    """A polygon as QuPath exports it."""
    properties: dict[str, Any] = {"objectType": kind}
    if name:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    geometry = {"type": "Polygon", "coordinates": [np.asarray(corners).tolist()]}
    return {"type": "Feature", "id": "a-1", "geometry": geometry, "properties": properties}


def nuclei() -> list[dict[str, Any]]:
    return [feature(ring) for ring in outlines_of(discs())]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_nuclei_are_read_from_collections_and_bare_lists_packed_or_not(
    tmp_path: Path, packed: bool, bare: bool
) -> None:
    content = json.dumps(nuclei() if bare else {"type": "FeatureCollection", "features": nuclei()}).encode()
    path = tmp_path / ("a.geojson.gz" if packed else "a.geojson")
    path.write_bytes(gzip.compress(content) if packed else content)
    objects = read_geojson(path, "Region*")
    assert np.array_equal(draw(objects.nuclei.nuclei, (60, 80)), renumbered(discs()))
    assert objects.regions.nuclei == ()


def test_annotations_of_the_named_class_are_regions_and_all_else_is_nuclei(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    old = feature(BOX)
    old["properties"] = {"object_type": "annotation", "classification": {"name": "Region 2"}}
    features = [
        feature(BOX, "annotation", "Region*"),
        old,
        feature(BOX, "detection", "Region*"),
        feature(BOX, "annotation", "Tumor"),
        feature(BOX, "annotation"),
        POINT,
    ]
    path.write_text(json.dumps(features))
    objects = read_geojson(path, "Region*")
    assert (len(objects.regions.nuclei), len(objects.nuclei.nuclei)) == (2, 3)
    assert len(read_geojson(path, "Tumor").regions.nuclei) == 1


def test_the_holes_of_a_region_are_no_part_of_it_but_islands_in_them_are(tmp_path: Path) -> None:
    def square(start: int, stop: int) -> list[list[int]]:
        return [[start, start], [stop, start], [stop, stop], [start, stop], [start, start]]

    region = feature(square(0, 100), "annotation", "Region*")
    region["geometry"]["coordinates"].append(square(20, 60))
    islands = feature(square(0, 100), "annotation", "Region*")
    parts = [[square(0, 100), square(20, 60)], [square(30, 40)]]
    islands["geometry"] = {"type": "MultiPolygon", "coordinates": parts}
    point = feature([[1, 1]], "annotation", "Region*")
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([region, islands, point]))
    regions = read_geojson(path, "Region*").regions
    assert [one.area for one in regions.nuclei] == [100**2 - 40**2, 100**2 - 40**2 + 10**2]
    assert (regions.repaired, regions.skipped) == (0, 1)


def test_a_hole_in_a_nucleus_is_filled(tmp_path: Path) -> None:
    nucleus = feature(BOX)
    nucleus["geometry"]["coordinates"].append([[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]])
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([nucleus]))
    assert read_geojson(path, "Region*").nuclei.nuclei[0].area == 80 * 60


def test_long_annotations_without_a_class_are_counted_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def box_of(width: int, *more: str) -> dict[str, Any]:
        return feature([[0, 0], [width, 0], [width, 30], [0, 30], [0, 0]], *more)

    path = tmp_path / "a.geojson"
    features = [box_of(400, "annotation"), box_of(401, "annotation", "Nucleus"), box_of(401)]
    path.write_text(json.dumps([*features, box_of(401, "annotation")]))
    objects = read_geojson(path, "Region*")
    assert (len(objects.nuclei.nuclei), objects.skipped) == (3, 1)
    assert "longer than 400 px and so no nuclei, skipped: 1" in caplog.text
    assert read_geojson(path, "Region*", longest_px=200).skipped == 2
    path.write_text(json.dumps([box_of(401, "annotation")]))
    with pytest.raises(TrainingError, match=r"1 annotations without a class, too long.*\n.*'Region\*'"):
        read_geojson(path, "Region*")


def test_of_a_cell_the_nucleus_counts(tmp_path: Path) -> None:
    cell = feature(BOX, "cell")
    cell["nucleusGeometry"] = feature(outlines_of(discs())[4])["geometry"]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([cell]))
    (nucleus,) = read_geojson(path, "Region*").nuclei.nuclei
    assert nucleus.area == pytest.approx((discs() == 14).sum(), rel=0.05)


def test_the_parts_of_a_multipolygon_are_one_nucleus(tmp_path: Path) -> None:
    rings = [feature(ring)["geometry"]["coordinates"] for ring in outlines_of(discs())[:2]]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([{"geometry": {"type": "MultiPolygon", "coordinates": rings}, "properties": None}]))
    labels = draw(read_geojson(path, "Region*").nuclei.nuclei, (60, 80))
    assert np.array_equal(labels, (discs() > 0) & (discs() <= 5))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no readable GeoJSON"),
        ("{", "no readable GeoJSON"),
        ("3", "no readable GeoJSON"),
        ("{}", "no readable GeoJSON"),
        ("[1, 2]", "no readable GeoJSON"),
        ('[{"geometry": {"type": "Polygon"}}]', "no readable GeoJSON"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[["a", 1]]]}}]', "no readable GeoJSON"),
        ("[]", "no polygons in it"),
        (json.dumps([POINT]), "no polygons in it"),
    ],
)
def test_what_qupath_has_not_written_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(TrainingError, match=rf"a\.geojson: {fault}") as error:
        read_geojson(path, "Region*")
    assert str(error.value).count("\n") == 1


def test_areas_are_annotations_by_their_classs_very_name(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    names = ("tumour", "Tumour", "tumour [old]", "", "tumour")
    annotations = [feature(BOX, "annotation", name) for name in names]
    path.write_text(json.dumps([*annotations, feature(BOX, "detection", "tumour [old]")]))
    found = read_areas(path, ("tumour", "tumour [old]", "stroma"))
    assert {name: len(areas.nuclei) for name, areas in found.items()} == {"tumour": 2, "tumour [old]": 1, "stroma": 0}


def test_areas_of_what_qupath_has_not_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("[3]")
    with pytest.raises(TrainingError, match=r"a\.geojson: no readable GeoJSON"):
        read_areas(tmp_path / "a.geojson", ("tumour",))


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps(nuclei()).encode())[:200])
    with pytest.raises(TrainingError, match=r"a\.geojson\.gz: no readable GeoJSON"):
        read_geojson(path, "Region*")
