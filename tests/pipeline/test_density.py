"""Nuclei per mm2: every centroid counts once, edges are not darkened, and cores leave no trace."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.batch import Job
from pipeline.density import DENSITY, DENSITY_CHANNEL, DENSITY_END, MapDensity, count_centroids, tissue_share
from pipeline.gather import gather_density
from pipeline.geometry import Box, Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.nuclei_table import write_geoparquet
from pipeline.plan import plan_stage
from pipeline.schedule import Workers, Workforce
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.pipeline.finished_slide import nuclei_table

LEVEL0 = Frame(1601, 2403, 1.0)
MAP = Frame(401, 601, 4.0)
"""Its last pixels overhang the slide by 3 and 1 of level 0."""
EVERYWHERE = TissueMask.everything(LEVEL0)
LEFT_PART = TissueMask(np.arange(301)[None].repeat(201, axis=0) < 150, Frame(201, 301, 8.0))

Points = NDArray[np.float64]


def lattice(step_px: float, width: float = LEVEL0.width) -> Points:
    """(n, 2) points (y, x), one amid each square of step_px level-0 px."""
    y, x = (np.arange(step_px / 2, side, step_px) for side in (LEVEL0.height, width))
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


def scattered(count: int, seed: int = 0) -> Points:
    """(n, 2) points (y, x), anywhere on the slide, sorted by y as a table is."""
    points = np.random.default_rng(seed).random((count, 2)) * LEVEL0.shape
    return points[np.argsort(points[:, 0])]


def new_workspace(folder: Path, points: Points, tissue: TissueMask, core_px: int) -> Workspace:
    folder.mkdir()
    workspace = Workspace(folder, "slide", SlideRef(folder / "slide.svs", None, "auto", 1.0))
    tissue.save(workspace.tissue_path)
    write_geoparquet([nuclei_table(points.tolist())], workspace.nuclei_path)
    content = Heatmap((DENSITY_CHANNEL,), end=DENSITY_END)
    workspace.store.create_heatmap(DENSITY, Pyramid.over(MAP), content, core_px)
    return workspace


def density_map(workspace: Workspace, core_px: int, **changes: Any) -> NDArray[np.float32]:
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(Job(workspace, MapDensity(MAP, LEVEL0, core_px, **changes))))
    return np.asarray(workspace.store.layer(f"{DENSITY}/0").read(MAP.box)[..., 0])


def test_evenly_spread_nuclei_are_as_dense_at_edges_as_amid_tissue(tmp_path: Path) -> None:
    """One amid each square of 20 um is 2,500 a mm2. Tissue ends at 1,200 um and with the slide, 1 um after the last."""
    workspace = new_workspace(tmp_path / "a", lattice(20, width=1200), LEFT_PART, 256)
    density = density_map(workspace, 256)
    assert np.isnan(density[:, 300:]).all()
    np.testing.assert_allclose(density[:, :300], 2500, rtol=0.02)


def test_a_nucleus_counts_once_however_it_is_smoothed(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "a", np.array([[800.0, 1200.0]]), EVERYWHERE, 256)
    density = density_map(workspace, 256)
    assert density.sum(dtype=np.float64) * MAP.mpp**2 / 1e6 == pytest.approx(1, rel=1e-5)
    assert density[200, 300] == density.max() == pytest.approx(1e6 / (2 * np.pi * 50**2), rel=0.01)


def test_a_wider_gaussian_gives_a_lower_top(tmp_path: Path) -> None:
    tops = [
        density_map(new_workspace(tmp_path / f"{sigma_um}", np.array([[800.0, 1200.0]]), EVERYWHERE, 256), 256,
                    sigma_um=sigma_um).max()
        for sigma_um in (25.0, 100.0)
    ]  # fmt: skip
    assert tops[0] / tops[1] == pytest.approx(16, rel=0.02)


@pytest.mark.parametrize("tissue", [EVERYWHERE, LEFT_PART], ids=["everywhere", "left part"])
def test_the_size_of_cores_leaves_no_trace(tmp_path: Path, tissue: TissueMask) -> None:
    points = scattered(5000)
    maps = [density_map(new_workspace(tmp_path / str(core), points, tissue, core), core) for core in (256, 512, 1024)]
    assert np.isfinite(maps[0]).any()
    np.testing.assert_array_equal(maps[1], maps[0])
    np.testing.assert_array_equal(maps[2], maps[0])


def test_a_map_made_again_is_the_same_and_a_finished_one_is_left_alone(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "a", scattered(2000), EVERYWHERE, 256)
    job = Job(workspace, MapDensity(MAP, LEVEL0, 256, batch_tiles=2))
    plan = plan_stage(job)
    job.stage.run(plan.left[0].tiles, workspace)  # written, but stopped before it was committed
    whole = density_map(workspace, 256, batch_tiles=2)
    assert plan_stage(job).left == ()
    other = new_workspace(tmp_path / "b", scattered(2000), EVERYWHERE, 256)
    np.testing.assert_array_equal(density_map(other, 256), whole)


def test_tissue_without_nuclei_has_none_rather_than_nothing(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "a", np.zeros((0, 2)), LEFT_PART, 256)
    density = density_map(workspace, 256)
    assert (density[:, :300] == 0).all()
    stage = MapDensity(MAP, LEVEL0, 256)
    figures = gather_density(workspace, stage, 0)
    assert figures == {"sigma_um": 50.0, "mean_per_mm2": 0, "median_per_mm2": 0, "p95_per_mm2": 0}


def test_figures_are_those_of_the_map(tmp_path: Path) -> None:
    points = scattered(5000)
    points = points[points[:, 1] < 1200]
    workspace = new_workspace(tmp_path / "a", points, LEFT_PART, 256)
    seen = density_map(workspace, 256)
    seen = seen[np.isfinite(seen)]
    figures = gather_density(workspace, MapDensity(MAP, LEVEL0, 256), len(points))
    assert figures["mean_per_mm2"] == pytest.approx(len(points) / (201 * 150 * 64 / 1e6))
    assert figures["median_per_mm2"] == pytest.approx(np.median(seen), abs=1)
    assert figures["p95_per_mm2"] == pytest.approx(np.quantile(seen, 0.95), abs=1)
    assert figures["p95_per_mm2"] > figures["median_per_mm2"] + 100


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 400), st.integers(0, 600), st.integers(1, 300), st.integers(1, 300), st.integers(0, 3))
def test_a_box_holds_the_centroids_of_its_place_in_the_whole(y: int, x: int, height: int, width: int, s: int) -> None:
    box = MAP.box.clip(Box(y, x, height, width))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nuclei.parquet"
        write_geoparquet([nuclei_table(scattered(300, seed=s).tolist())], path)
        whole = count_centroids(path, MAP.box, MAP, LEVEL0)
        part = count_centroids(path, box, MAP, LEVEL0)
    assert whole.sum() == 300
    np.testing.assert_array_equal(part, whole[box.slices()])


def test_a_centroid_lies_in_the_pixel_that_holds_it(tmp_path: Path) -> None:
    frame, level0 = Frame(334, 334, 3.0), Frame(2000, 2000, 0.5)
    write_geoparquet([nuclei_table([(6.0, 5.999), (1999.9, 1999.9)])], tmp_path / "n.parquet")
    counts = count_centroids(tmp_path / "n.parquet", frame.box, frame, level0)
    assert np.argwhere(counts).tolist() == [[1, 0], [333, 333]]


@pytest.mark.parametrize("mask_mpp", [0.7, 2.0, 8.0])
def test_shares_of_tissue_add_up_to_its_area(mask_mpp: float) -> None:
    """Whether the mask is finer or coarser than the map: a disc of tissue, 300 um wide."""
    own = LEVEL0.at(mask_mpp)
    y, x = (np.arange(side) + 0.5 for side in own.shape)
    disc = (y[:, None] * mask_mpp - 700) ** 2 + (x * mask_mpp - 900) ** 2 < 300**2
    tissue = TissueMask(disc, own)
    share = tissue_share(tissue, MAP.box, MAP, LEVEL0)
    assert share.min() == 0
    assert share.max() == 1
    assert share.sum() * MAP.mpp**2 == pytest.approx(tissue.area_um2, rel=0.003)


def test_pixels_that_overhang_the_slide_count_as_far_as_they_lie_on_it() -> None:
    share = tissue_share(EVERYWHERE, MAP.box, MAP, LEVEL0)
    assert share.sum() * MAP.mpp**2 == pytest.approx(LEVEL0.height * LEVEL0.width)
    assert share[400, 0] == pytest.approx(0.25)
    assert share[0, 600] == pytest.approx(0.75)
