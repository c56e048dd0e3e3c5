from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.store import SlideStore
from pipeline.summary import Densities, summarise_areas, summarise_consistency, summarise_density, summarise_patches


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 900), min_size=1, max_size=60))
def test_areas_are_counted_once_each_and_their_quartiles_are_those_of_numpy(areas_um2: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nuclei.parquet"
        pq.write_table(pa.table({"area_um2": areas_um2}), path)
        areas = summarise_areas(path)
    assert areas is not None
    assert areas.count == sum(areas.bars) == len(areas_um2)
    for found, share in ((areas.lower_um2, 0.25), (areas.median_um2, 0.5), (areas.upper_um2, 0.75)):
        below, above = (np.quantile(areas_um2, share, method=method) for method in ("lower", "higher"))
        assert below - 0.5 <= found <= above + 0.5 or len(areas_um2) < 4


def test_areas_that_are_no_number_do_not_count(tmp_path: Path) -> None:
    pq.write_table(pa.table({"area_um2": [float("nan"), None, -1.0, float("inf")]}), tmp_path / "n.parquet")
    assert summarise_areas(tmp_path / "n.parquet") is None


def test_the_last_bar_holds_all_that_are_larger(tmp_path: Path) -> None:
    pq.write_table(pa.table({"area_um2": [10.2] * 999 + [5000.0]}), tmp_path / "n.parquet")
    areas = summarise_areas(tmp_path / "n.parquet")
    assert areas is not None
    assert areas.bars == (0,) * 10 + (1000,)


def test_a_patch_counts_for_its_likeliest_class_and_only_for_its_own_classifier(tmp_path: Path) -> None:
    table = pa.table(
        {
            "classifier": ["x", "x", "x", "y"],
            "p_a": [0.9, 0.8, 0.1, None],
            "p_b": [0.1, 0.2, 0.9, 0.3],
            "p_c": [None, None, None, 0.7],
        }
    )
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2)
    shares = summarise_patches(tmp_path / "p.parquet")
    assert {name: [(share.label, share.patches) for share in rows] for name, rows in shares.items()} == {
        "x": [("a", 2), ("b", 1)],
        "y": [("b", 0), ("c", 1)],
    }
    assert shares["x"][0].share == pytest.approx(2 / 3)
    assert shares["x"][0].mean_probability == pytest.approx(0.6)


def test_a_consistency_map_is_told_in_grey_levels(tmp_path: Path) -> None:
    store, frame = SlideStore(tmp_path / "s.ome.zarr"), Frame(100, 100, 4.0)
    store.create_heatmap("qc/sr", Pyramid.over(frame), Heatmap(("rms",)), 256)
    layer = store.layer("qc/sr/0")
    assert summarise_consistency(layer) is None
    values = np.full((100, 100, 1), 0.01, np.float32)
    values[0, :50] = 0.5
    values[90:] = np.nan
    layer.write(frame.box, values)
    found = summarise_consistency(layer)
    assert found is not None
    assert found.median == pytest.approx(2.55, abs=0.15)
    assert found.most == pytest.approx(2.68, abs=0.15)


def test_densities_are_told_to_the_nucleus_per_mm2_and_what_is_no_tissue_does_not_count(tmp_path: Path) -> None:
    store, frame = SlideStore(tmp_path / "s.ome.zarr"), Frame(100, 100, 4.0)
    store.create_heatmap("heatmaps/d", Pyramid.over(frame), Heatmap(("per mm2",), end=1e4), 256)
    layer = store.layer("heatmaps/d/0")
    assert summarise_density(layer) is None
    values = np.full((100, 100, 1), 3000.2, np.float32)
    values[:30] = 0
    values[30:33] = 20_000
    values[90:] = np.nan
    layer.write(frame.box, values)
    assert summarise_density(layer) == Densities(3000, 3000)
    values[33:35] = 20_000
    layer.write(frame.box, values)
    assert summarise_density(layer) == Densities(3000, 20_000)
