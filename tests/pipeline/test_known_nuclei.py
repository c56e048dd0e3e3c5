"""A slide whose nuclei are known: each is found once, in place, at whole and odd ratios; layers lie on each other."""

from itertools import compress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import norm

from pipeline.batch import Job
from pipeline.density import DENSITY
from pipeline.gather import fold_patches, gather_nuclei, gather_patches
from pipeline.geometry import Box, Frame
from pipeline.plan import plan_stage
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import base_source, open_slide
from pipeline.stage import Network
from pipeline.synthetic import Nuclei, SyntheticTruth, write_synthetic_slide
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Crowding, Doubling, Violet

PX_OF_SLACK = 0.7
CORNER_AND_SIDE = ("y_level0_px", "x_level0_px", "size_level0_px", "size_level0_px")


def weave(folder: Path, path: Path, base_mpp: float, sr: bool, core_px: int) -> tuple[Workspace, Recipe]:
    """All stages over a slide, one after another in this thread."""
    with open_slide(path) as slide:
        level0, base = slide.info.frame, base_source(slide, base_mpp).frame
    nuclei_mpp = base.mpp / 2 if sr else base.mpp
    recipe = Recipe(
        "known", level0, base, core_px,
        sr=Network("doubling", Doubling(), base.mpp, scale=2) if sr else None,
        nuclei=Network("violet", Violet(), nuclei_mpp, halo_px=16, classes=VIOLET_CLASSES),
        classifiers=(Network("crowding", Crowding(), 4.0, field_px=20, classes=("few", "many")),),
    )  # fmt: skip
    workspace = Workspace(folder, "known", SlideRef(path, None, "auto", base_mpp))
    TissueMask.everything(level0).save(workspace.tissue_path)
    recipe.create_layers(workspace.store)
    assert recipe.segment
    assert recipe.draw
    with Workers(Workforce(processes=0)) as workers:

        def run(*stages: object) -> None:
            for stage in stages:
                workers.run(plan_stage(Job(workspace, stage)))  # type: ignore[arg-type]

        run(recipe.ingest, *recipe.coarser(""), *recipe.coarser("labels/tissue"))
        if recipe.super_resolve:
            run(recipe.super_resolve, *recipe.coarser("sr"))
        run(recipe.segment, *recipe.classify)
        gather_nuclei(workspace, recipe.segment)
        run(recipe.draw, *recipe.coarser(recipe.draw.group))
        gather_patches(workspace, recipe.classify)
        fold_patches(workspace, recipe.classify[0], core_px)
        run(*recipe.coarser("heatmaps/crowding"))
        assert recipe.density
        run(recipe.density, *recipe.coarser(DENSITY))
    return workspace, recipe


def whole(truth: SyntheticTruth) -> Nuclei:
    """The nuclei that the slide's border does not cut."""
    nuclei, reach = truth.nuclei(), 6.0 / truth.mpp
    inside = (nuclei.y > reach) & (nuclei.y < truth.height - reach)
    return nuclei.take(inside & (nuclei.x > reach) & (nuclei.x < truth.width - reach))


def points(table: pa.Table) -> NDArray[np.float64]:
    return np.stack([table[f"centroid_{axis}_level0_px"].to_numpy() for axis in "yx"], axis=-1)


CASES = {
    "own pixels": (0.25, 0.25, False, (1, 4)),
    "super-resolved": (0.499, 0.499, True, (1, 4)),
    "finer than wanted": (0.13, 0.25, False, (1,)),
    "levels that are not whole parts": (0.13, 0.25, False, (1, 2.5)),
    "interpolated": (0.35, 0.25, False, (1, 3.9996)),
}


@pytest.fixture(params=CASES, scope="module")
def woven(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SyntheticTruth, Workspace, Recipe]:
    mpp, base_mpp, sr, downsamples = CASES[request.param]
    folder = tmp_path_factory.mktemp("known")
    height, width = round(230 / mpp), round(180 / mpp)
    truth = write_synthetic_slide(
        folder / "known.svs", height, width, mpp, level_downsamples=downsamples, compression="deflate", tissue_share=1.0
    )
    return truth, *weave(folder, folder / "known.svs", base_mpp, sr, core_px=256)


def test_every_nucleus_is_found_once_and_in_place(woven: tuple[SyntheticTruth, Workspace, Recipe]) -> None:
    truth, workspace, recipe = woven
    expected = whole(truth)
    assert len(expected) > 20
    found = points(pq.read_table(workspace.nuclei_path))
    near = cKDTree(found).query_ball_point(np.stack([expected.y, expected.x], axis=-1), r=3.0 / truth.mpp)
    assert [len(close) for close in near] == [1] * len(expected)
    assert recipe.segment
    slack = PX_OF_SLACK * max(1.0, recipe.segment.frame.mpp / truth.mpp)
    for (y, x), close in zip(zip(expected.y, expected.x, strict=True), near, strict=True):
        assert np.hypot(*(found[close[0]] - (y, x))) < slack
    assert len(found) <= len(truth.nuclei())


def test_areas_are_those_of_the_ellipses(woven: tuple[SyntheticTruth, Workspace, Recipe]) -> None:
    truth, workspace, _ = woven
    expected = whole(truth)
    table = pq.read_table(workspace.nuclei_path)
    _, row = cKDTree(points(table)).query(np.stack([expected.y, expected.x], axis=-1))
    areas_um2 = np.pi * expected.semi_major_px * expected.semi_minor_px * truth.mpp**2
    ratio = table["area_um2"].to_numpy()[row] / areas_um2
    assert abs(np.median(ratio) - 1) < 0.08


def centres_um(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where NGFF transforms put the pixels' centres, counted from the slide's first corner."""
    y, x = ((np.arange(side, dtype=np.float64) + 0.5) * frame.mpp for side in frame.shape)
    return y, x


def test_labels_lie_on_the_nuclei_of_the_image(woven: tuple[SyntheticTruth, Workspace, Recipe]) -> None:
    truth, workspace, recipe = woven
    store, group = workspace.store, recipe.nuclei_group
    assert group
    labels = store.layer(f"{group}/0")
    numbers = labels.read(labels.frame.box)
    table = pq.read_table(workspace.nuclei_path)
    assert set(np.unique(numbers)) - {0} == set(range(1, table.num_rows + 1))
    y_um, x_um = centres_um(labels.frame)
    for row, (y, x) in enumerate(points(table), start=1):
        ys, xs = np.nonzero(numbers == row)
        assert abs(y_um[ys].mean() - y * truth.mpp) < labels.frame.mpp
        assert abs(x_um[xs].mean() - x * truth.mpp) < labels.frame.mpp


def test_every_layer_shows_the_same_nuclei_at_the_same_place(
    woven: tuple[SyntheticTruth, Workspace, Recipe],
) -> None:
    truth, workspace, recipe = woven
    nuclei = whole(truth)
    for group, pyramid in recipe.pyramids.items():
        for level, frame in enumerate(pyramid.levels[:3]):
            if frame.mpp > 1.5:
                continue
            image = workspace.store.layer(f"{group}/{level}".lstrip("/"))
            dark = image.read(frame.box)[..., 0] < 150
            y_um, x_um = centres_um(frame)
            rows = np.abs(y_um[:, None] - nuclei.y * truth.mpp).argmin(axis=0)
            columns = np.abs(x_um[:, None] - nuclei.x * truth.mpp).argmin(axis=0)
            assert dark[rows, columns].mean() > 0.95


def test_a_patch_is_judged_by_the_nuclei_that_lie_in_it(woven: tuple[SyntheticTruth, Workspace, Recipe]) -> None:
    truth, workspace, _ = woven
    rows = pq.read_table(workspace.patches_path).to_pylist()
    boxes = [Box(*(round(row[name]) for name in CORNER_AND_SIDE)) for row in rows]
    inside = [truth.frame.box.encloses(box) for box in boxes]
    share = np.asarray([truth.render_mask(box).mean() for box in compress(boxes, inside)])
    many = np.asarray([row["p_many"] for row in compress(rows, inside)])
    assert len(many) > 8
    assert np.corrcoef(share, many)[0, 1] > 0.75


def test_a_pixel_of_the_heat_map_is_the_mean_of_the_patches_over_it_weighed_by_their_nearness(
    woven: tuple[SyntheticTruth, Workspace, Recipe],
) -> None:
    """Integrated once more, by many points in the pixel."""
    truth, workspace, _ = woven
    layer = workspace.store.layer("heatmaps/crowding/0")
    seen = layer.read(layer.frame.box)[..., 1]
    rows = pq.read_table(workspace.patches_path).to_pylist()
    y, x = (centres_um(layer.frame)[axis] / truth.mpp for axis in (0, 1))
    within = (np.arange(4096) + 0.5) / 4096 - 0.5

    def window(centre: float, pitch: float, corner: float, side: float) -> float:
        place = (centre + within * pitch - corner) / side
        return float(np.clip(1 - abs(2 * place - 1), 0, None).mean())

    for row, column in [(0, 0), (12, 7), (25, 31), (seen.shape[0] - 1, 20)]:
        weights = [
            window(y[row], y[1] - y[0], patch["y_level0_px"], patch["size_level0_px"])
            * window(x[column], x[1] - x[0], patch["x_level0_px"], patch["size_level0_px"])
            for patch in rows
        ]
        if sum(weights) > 0:
            wanted = np.average([patch["p_many"] for patch in rows], weights=weights)
            assert seen[row, column] == pytest.approx(wanted, abs=1e-5)
        else:
            assert np.isnan(seen[row, column])


def test_the_density_map_is_the_sum_of_gaussians_over_what_of_them_lies_on_the_slide(
    woven: tuple[SyntheticTruth, Workspace, Recipe],
) -> None:
    """Calculated once more, without pixels, from the error function."""
    truth, workspace, recipe = woven
    assert recipe.density
    layer = workspace.store.layer(f"{DENSITY}/0")
    density = layer.read(layer.frame.box)[..., 0]
    sigma_um, found_um = recipe.density.sigma_um, points(pq.read_table(workspace.nuclei_path)) * truth.mpp
    weights, on_slide = [], []
    centres = centres_um(layer.frame)
    for centre_um, place_um, side in zip(centres, found_um.T, truth.frame.shape, strict=True):
        weights.append(norm.pdf(centre_um[:, None], place_um, sigma_um))
        on_slide.append(norm.cdf(side * truth.mpp, centre_um, sigma_um) - norm.cdf(0, centre_um, sigma_um))
    expected = weights[0] @ weights[1].T / np.outer(*on_slide) * 1e6
    assert expected.max() > 1.05 * expected.min()
    np.testing.assert_allclose(density, expected, rtol=0.02)
