from __future__ import annotations

import gzip
import hashlib
import json
import uuid
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from pipeline import nuclei_table
from pipeline.nuclei import owned_nuclei
from pipeline.nuclei_geojson import write_geojson_gz
from pipeline.nuclei_instances import NucleiParameters
from pipeline.nuclei_table import write_geoparquet
from tests.pipeline.nuclei_maps import frame_of, random_pixels, random_probabilities, tile_of

PARAMETERS = NucleiParameters(smoothing_px=0, max_hole_px=0, seed_height_px=1, max_diameter_px=40, least_area_px=6)
PROBABILITIES = random_probabilities(11, (210, 190))
MEASUREMENTS = {
    "Area µm^2": "area_um2", "Perimeter µm": "perimeter_um", "Major axis µm": "major_axis_um",
    "Minor axis µm": "minor_axis_um", "Circularity": "circularity", "Eccentricity": "eccentricity",
    "Probability": "probability", "Hematoxylin OD mean": "hematoxylin_od", "Eosin OD mean": "eosin_od",
}  # fmt: skip


def nuclei(level0_mpp: float = 0.25) -> pa.Table:
    frame = frame_of(PROBABILITIES)
    tile = tile_of(frame.box, frame.box)
    pixels = random_pixels(11, frame.shape)
    return owned_nuclei(PROBABILITIES, pixels, tile, frame, frame.at(level0_mpp), None, PARAMETERS)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def written(table: pa.Table, folder: Path) -> bytes:
    write_geoparquet([table], folder / "nuclei.parquet")
    write_geojson_gz(folder / "nuclei.parquet", folder / "nuclei.geojson.gz")
    return (folder / "nuclei.geojson.gz").read_bytes()


def one_by_one(table: pa.Table) -> str:
    """The same file's text, a nucleus at a time, by shapely, uuid and json."""
    features = []
    for row in table.to_pylist():
        outline = shapely.transform(shapely.from_wkb(row["geometry"]), lambda corners: corners.round(2))
        name = uuid.UUID(bytes=hashlib.sha256(row["geometry"]).digest()[:16], version=5)
        measurements = {words: float(np.round(row[column], 4)) for words, column in MEASUREMENTS.items()}
        features.append(
            f'{{"type":"Feature","id":"{name}","geometry":{shapely.to_geojson(outline)},'
            '"properties":{"objectType":"detection","classification":{"name":"Nucleus","color":[59,130,246]},'
            f'"measurements":{json.dumps(measurements, ensure_ascii=False)}}}}}'
        )
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(features) + "\n]}\n"


def test_geojson_holds_what_qupath_reads(tmp_path: Path) -> None:
    table = nuclei(level0_mpp=0.2271)
    collection = json.loads(gzip.decompress(written(table, tmp_path)))
    assert collection["type"] == "FeatureCollection"
    assert len({feature["id"] for feature in collection["features"]}) == table.num_rows
    for row, feature in zip(table.to_pylist(), collection["features"], strict=True):
        assert feature["type"] == "Feature"
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["classification"]["name"] == "Nucleus"
        assert feature["properties"]["measurements"]["Area µm^2"] == pytest.approx(row["area_um2"], abs=1e-4)
        polygon, rounded = shapely.from_wkb(row["geometry"]), shapely.geometry.shape(feature["geometry"])
        assert rounded.is_valid
        assert polygon.hausdorff_distance(rounded) < 0.01


@pytest.mark.parametrize("level0_mpp", [0.25, 0.2271, 0.499])
@pytest.mark.parametrize("rows_a_group", [1, 37, 100_000])
def test_the_text_is_that_of_nuclei_written_one_by_one(
    tmp_path: Path, level0_mpp: float, rows_a_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuclei_table, "ROWS_A_GROUP", rows_a_group)
    table = nuclei(level0_mpp)
    assert gzip.decompress(written(table, tmp_path)).decode() == one_by_one(table)


def test_coordinates_of_any_slide_are_written_as_shapely_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [nuclei().slice(0, 1)] * 300
    scales = 10.0 ** random.uniform(-3, 6, len(rows))
    outlines = [shapely.Polygon(random.uniform(0, scale, (random.integers(3, 60), 2))) for scale in scales]
    table = with_column(pa.concat_tables(rows), "geometry", pa.array(shapely.to_wkb(outlines, byte_order=1).tolist()))
    assert gzip.decompress(written(table, tmp_path)).decode() == one_by_one(table)


def test_measurements_of_any_size_are_written_as_json_does(tmp_path: Path) -> None:
    awkward = [0.0, -0.0, -0.00001, 0.00004, 0.0001, -0.0108, 0.99995, 1.0, 100.0, 12345.67891, 1e7, 2.0**40, 1 / 3]
    table = nuclei().slice(0, len(awkward))
    for shift, column in enumerate(MEASUREMENTS.values()):
        table = with_column(table, column, pa.array(np.roll(awkward, shift)))
    text = gzip.decompress(written(table, tmp_path)).decode()
    assert text == one_by_one(table)
    assert '"Eosin OD mean": -0.0}' in text
    assert '"Eosin OD mean": 0.0}' in text


def test_the_same_nuclei_give_the_same_bytes_without_time_or_name(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    one, other = (written(nuclei(), folder) for folder in folders)
    assert one == other
    members = 0
    while one:
        assert one[:8] == b"\x1f\x8b\x08" + bytes(5)  # deflate; no flags, so no name; no time
        reader = zlib.decompressobj(31)
        assert reader.decompress(one)
        assert reader.eof
        one, members = reader.unused_data, members + 1
    assert members == 3  # the opening, a group, the closing


@pytest.mark.parametrize(
    "outline",
    [
        shapely.to_wkb(shapely.box(0, 0, 9, 9).difference(shapely.box(2, 2, 4, 4)), byte_order=1),
        shapely.to_wkb(shapely.box(0, 0, 9, 9), byte_order=0),
        shapely.to_wkb(shapely.LineString([(0, 0), (9, 9)]), byte_order=1),
    ],
)
def test_outlines_of_another_layout_are_refused(tmp_path: Path, outline: bytes) -> None:
    table = with_column(nuclei().slice(0, 1), "geometry", pa.array([outline], pa.binary()))
    with pytest.raises(ValueError, match="one ring"):
        written(table, tmp_path)
    assert not (tmp_path / "nuclei.geojson.gz").exists()
