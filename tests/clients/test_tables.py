"""nuclei.parquet and patches.parquet as DuckDB, GeoPandas and pandas see them."""

from __future__ import annotations

import json

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely

from tests.clients.contract import Hold, KnownSlide


def test_geopandas_opens_the_table_as_polygons_without_a_place_on_earth(slide: KnownSlide, hold: Hold) -> None:
    nuclei = geopandas.read_parquet(slide.folder / "nuclei.parquet")
    assert nuclei.crs is None
    assert set(nuclei.geom_type) == {"Polygon"}
    assert nuclei.is_valid.all()
    assert nuclei.geometry.apply(lambda polygon: polygon.exterior.is_ccw).all()
    np.testing.assert_allclose(nuclei.area, nuclei["area_level0_px"], rtol=1e-9)
    np.testing.assert_allclose(nuclei.area * slide.truth.mpp**2, nuclei["area_um2"], rtol=1e-9)
    np.testing.assert_allclose(nuclei.length * slide.truth.mpp, nuclei["perimeter_um"], rtol=1e-9)
    bbox = pd.json_normalize(pq.read_table(slide.folder / "nuclei.parquet", columns=["bbox"])["bbox"].to_pylist())
    np.testing.assert_array_equal(bbox[["xmin", "ymin", "xmax", "ymax"]], nuclei.bounds)
    hold(slide, "GeoPandas", np.stack([nuclei.centroid.y, nuclei.centroid.x], axis=-1))


def test_geopandas_reads_what_lies_in_a_box(slide: KnownSlide) -> None:
    """By the covering of GeoParquet 1.1, without reading the rest."""
    path = slide.folder / "nuclei.parquet"
    part = geopandas.read_parquet(path, bbox=(200, 300, 600, 700))
    bounds = geopandas.read_parquet(path).bounds
    inside = (bounds.maxx >= 200) & (bounds.minx <= 600) & (bounds.maxy >= 300) & (bounds.miny <= 700)
    assert 0 < len(part) == inside.sum() < len(bounds)


def test_the_metadata_is_geoparquet_1_1(slide: KnownSlide) -> None:
    """What https://geoparquet.org/releases/v1.1.0/ demands of a file."""
    file = pq.ParquetFile(slide.folder / "nuclei.parquet")
    geo = json.loads(file.metadata.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"][geo["primary_column"]]
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon"]
    assert column["crs"] is None
    assert column["orientation"] == "counterclockwise"
    assert set(column["covering"]["bbox"]) == {"xmin", "ymin", "xmax", "ymax"}
    bounds = shapely.total_bounds(shapely.from_wkb(file.read(["geometry"])["geometry"].to_numpy()))
    np.testing.assert_array_equal(column["bbox"], bounds)


def test_duckdb_finds_the_nuclei(slide: KnownSlide, hold: Hold) -> None:
    path = str(slide.folder / "nuclei.parquet")
    rows = duckdb.execute("SELECT centroid_y_level0_px, centroid_x_level0_px FROM read_parquet(?)", [path]).fetchnumpy()
    hold(slide, "DuckDB", np.stack(list(rows.values()), axis=-1))
    in_um = duckdb.execute("SELECT centroid_y_um / ?, centroid_x_um / ? FROM read_parquet(?)",
                           [slide.truth.mpp, slide.truth.mpp, path]).fetchnumpy()  # fmt: skip
    np.testing.assert_allclose(np.stack(list(in_um.values())), np.stack(list(rows.values())), rtol=1e-12)


def test_duckdb_reads_outlines_and_boxes(slide: KnownSlide) -> None:
    """As WKB: the extension that computes with geometry would have to be fetched from a server."""
    query = (
        "SELECT geometry, area_level0_px FROM read_parquet(?) WHERE bbox.xmax >= 200 AND bbox.xmin <= 600 "
        "AND bbox.ymax >= 300 AND bbox.ymin <= 700"
    )
    rows = duckdb.execute(query, [str(slide.folder / "nuclei.parquet")]).fetchall()
    assert 0 < len(rows) < len(slide.truth.nuclei())
    outlines = [shapely.from_wkb(bytes(geometry)) for geometry, _ in rows]
    assert [outline.area for outline in outlines] == pytest.approx([area for _, area in rows])


def test_patches_are_squares_that_lie_on_the_slide(slide: KnownSlide) -> None:
    path = slide.folder / "patches.parquet"
    patches = pd.read_parquet(path)
    np.testing.assert_allclose(patches["p_few"] + patches["p_many"], 1, atol=1e-5)
    side = patches["size_level0_px"] * slide.truth.mpp
    np.testing.assert_allclose(side, side.iloc[0])
    assert (patches[["x_level0_px", "y_level0_px"]] >= 0).all().all()
    counted = duckdb.execute("SELECT count(*) FROM read_parquet(?) WHERE p_many > 0.5", [str(path)]).fetchall()
    assert counted == [((patches["p_many"] > 0.5).sum(),)]
    boxes = shapely.box(patches.x_level0_px, patches.y_level0_px, patches.x_level0_px + patches.size_level0_px,
                        patches.y_level0_px + patches.size_level0_px)  # fmt: skip
    nuclei = slide.truth.nuclei()
    places = shapely.STRtree(shapely.points(nuclei.x, nuclei.y))
    inside, _ = places.query(boxes, predicate="contains")
    crowded = np.bincount(inside, minlength=len(boxes))
    assert np.corrcoef(crowded, patches["p_many"])[0, 1] > 0.5
