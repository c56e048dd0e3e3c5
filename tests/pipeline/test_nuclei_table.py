from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from numpy.typing import NDArray

from pipeline import nuclei_table
from pipeline.geometry import Box, Frame
from pipeline.nuclei import owned_nuclei
from pipeline.nuclei_geojson import write_geojson_gz
from pipeline.nuclei_instances import NucleiParameters, segment
from pipeline.nuclei_measure import SCHEMA
from pipeline.nuclei_table import NucleiIndex, draw_labels, merge_fragments, write_geoparquet
from tests.pipeline.nuclei_maps import frame_of, random_pixels, random_probabilities, tile_of

PARAMETERS = NucleiParameters(smoothing_px=0, max_hole_px=0, seed_height_px=1, max_diameter_px=40, least_area_px=6)
PROBABILITIES = random_probabilities(11, (210, 190))


def nuclei(core: Box | None = None, mpp: float = 0.25, level0_mpp: float = 0.25) -> pa.Table:
    frame = frame_of(PROBABILITIES, mpp)
    level0 = frame.at(level0_mpp)
    tile = tile_of(core or frame.box, frame.box)
    return owned_nuclei(PROBABILITIES, random_pixels(11, frame.shape), tile, frame, level0, None, PARAMETERS)


@pytest.fixture
def fragments(tmp_path: Path) -> list[Path]:
    """Four fragments, out of order, one of them empty and one without columns."""
    cores = [Box(100, 0, 110, 190), Box(0, 90, 100, 100), Box(0, 0, 100, 90)]
    tables = [*map(nuclei, cores), SCHEMA.empty_table(), pa.table({})]
    paths = [tmp_path / f"{number:08d}.parquet" for number in range(len(tables))]
    for table, path in zip(tables, paths, strict=True):
        pq.write_table(table, path)
    return paths


def rows(path: Path) -> pa.Table:
    return pq.read_table(path).select(SCHEMA.names)


def test_merged_rows_do_not_depend_on_fragments(
    fragments: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuclei_table, "ROWS_A_GROUP", 37)
    assert merge_fragments(fragments, tmp_path / "a.parquet") == nuclei().num_rows > 74
    merge_fragments(fragments[::-1], tmp_path / "b.parquet")
    write_geoparquet([nuclei()], tmp_path / "c.parquet")
    assert rows(tmp_path / "a.parquet").equals(nuclei())
    assert len({(tmp_path / f"{name}.parquet").read_bytes() for name in "abc"}) == 1
    groups = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups - 1)] == [37] * (groups.num_rows // 37)


def test_the_file_says_that_it_is_geoparquet(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.parquet"
    write_geoparquet([nuclei()], path, {"slide": "a.svs"})
    metadata = pq.read_schema(path).metadata
    geo = json.loads(metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"], column["crs"]) == ("WKB", ["Polygon"], None)
    polygons = shapely.from_wkb(pq.read_table(path)["geometry"].to_numpy())
    assert column["bbox"] == shapely.total_bounds(polygons).tolist()
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert pq.read_table(path)["bbox"][0].as_py() == dict(
        zip(("xmin", "ymin", "xmax", "ymax"), polygons[0].bounds, strict=True)
    )
    assert json.loads(metadata[b"histoloom"]) == {"slide": "a.svs"}
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("tables", [[], [SCHEMA.empty_table()]])
def test_a_slide_without_nuclei_has_files_that_open(tmp_path: Path, tables: list[pa.Table]) -> None:
    path = tmp_path / "nuclei.parquet"
    assert write_geoparquet(tables, path) == 0
    assert merge_fragments([], tmp_path / "merged.parquet") == 0
    assert rows(path).schema.remove_metadata().equals(SCHEMA)
    assert "bbox" not in json.loads(pq.read_schema(path).metadata[b"geo"])["columns"]["geometry"]
    geometry, numbers = NucleiIndex.open(path).touching(Box(0, 0, 100, 100))
    assert len(geometry) == len(numbers) == len(NucleiIndex.open(path)) == 0
    frame = Frame(10, 12, 0.25)
    assert not draw_labels(geometry, numbers, frame.box, frame, frame).any()
    write_geojson_gz(path, tmp_path / "nuclei.geojson.gz")
    assert json.loads(gzip.decompress((tmp_path / "nuclei.geojson.gz").read_bytes()))["features"] == []


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "nuclei.parquet"
    with pytest.raises(KeyError, match="geometry"):
        write_geoparquet([pa.table({"area_um2": [1.0]})], path)
    assert list(tmp_path.iterdir()) == []


# mpp of the frame and of level 0: the same; a scanner's own; level 0 half and twice as fine.
RATIOS = [(0.25, 0.25), (0.25, 0.2271), (0.25, 0.499), (0.2495, 0.499), (0.5, 0.25), (0.03125, 0.5)]


@pytest.mark.parametrize(("mpp", "level0_mpp"), RATIOS)
def test_drawing_the_table_gives_back_the_instances(mpp: float, level0_mpp: float) -> None:
    table = nuclei(mpp=mpp, level0_mpp=level0_mpp)
    frame = frame_of(PROBABILITIES, mpp)
    numbers = np.arange(1, table.num_rows + 1, dtype=np.uint32)
    drawn = draw_labels(table["geometry"].to_numpy(), numbers, frame.box, frame, frame.at(level0_mpp))
    instances = segment(PROBABILITIES, PARAMETERS)
    assert table.num_rows == instances.max()
    assert ((drawn > 0) == (instances > 0)).all()
    assert len(np.unique(np.stack((drawn, instances)).reshape(2, -1), axis=1)[0]) == table.num_rows + 1


@pytest.mark.parametrize("core_px", [31, 64, 100])
def test_labels_drawn_from_the_index_box_by_box_are_those_of_the_whole(
    tmp_path: Path, core_px: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuclei_table, "ROWS_A_GROUP", 25)
    frame = frame_of(PROBABILITIES, 0.25)
    level0 = frame.at(0.2271)
    table = nuclei(level0_mpp=0.2271)
    write_geoparquet([table], tmp_path / "nuclei.parquet")
    numbers = np.arange(1, table.num_rows + 1, dtype=np.uint32)
    whole = draw_labels(table["geometry"].to_numpy(), numbers, frame.box, frame, level0)
    index = NucleiIndex.open(tmp_path / "nuclei.parquet")
    assert len(index) == table.num_rows
    for box in frame.partition(core_px):
        geometry, touching = index.touching(level0.cover(box, frame))
        assert (draw_labels(geometry, touching, box, frame, level0) == whole[box.slices()]).all()


def test_the_index_finds_what_touches_a_box_and_little_else(tmp_path: Path) -> None:
    write_geoparquet([nuclei()], tmp_path / "nuclei.parquet")
    geometry, numbers = NucleiIndex.open(tmp_path / "nuclei.parquet").touching(Box(50, 60, 40, 30))
    polygons = shapely.from_wkb(nuclei()["geometry"].to_numpy())
    wanted = np.flatnonzero(shapely.intersects(polygons, shapely.box(60, 50, 90, 90))) + 1
    assert set(wanted) <= set(numbers)
    assert len(numbers) < len(wanted) + 8
    assert [nuclei()["geometry"][int(number) - 1].as_py() for number in numbers] == geometry.tolist()


def test_of_overlapping_nuclei_the_lower_number_is_drawn() -> None:
    squares: NDArray[np.object_] = shapely.to_wkb(np.array([shapely.box(0, 0, 6, 6), shapely.box(3, 3, 9, 9)]))
    frame = Frame(10, 10, 0.25)
    drawn = draw_labels(squares, np.array([7, 4], np.uint32), frame.box, frame, frame)
    assert (drawn[4, 4], drawn[1, 1], drawn[8, 8], drawn[9, 9]) == (4, 7, 4, 0)


def test_tables_of_any_length_are_written_as_they_come(tmp_path: Path) -> None:
    table = nuclei()
    slices = [table.slice(begin, 7) for begin in range(0, table.num_rows, 7)]
    assert write_geoparquet(iter(slices), tmp_path / "nuclei.parquet") == table.num_rows
    assert rows(tmp_path / "nuclei.parquet").equals(table)
