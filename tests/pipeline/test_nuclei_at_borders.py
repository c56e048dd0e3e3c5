"""Nuclei that a slide's border cuts, and those that lie on the edge of tissue: each once, and as much as there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.batch import Job
from pipeline.gather import gather_nuclei
from pipeline.geometry import Box, Frame
from pipeline.plan import plan_stage
from pipeline.pyramidal_tiff import write_pyramidal_tiff
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import base_source, open_slide
from pipeline.stage import Network
from pipeline.synthetic import SyntheticTruth
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Violet

TARGET_MPP = 0.25
# Of pieces that the border leaves, those that hold this much are more than the contour that a network sees.
PIECE_UM2 = 8.0


def write_window(path: Path, mpp: float) -> NDArray[np.bool_]:
    """A slide of 110 x 95 um cut out of a larger one, nuclei and all; returns its (y, x) mask of nuclei."""
    side = round(400 / mpp)
    truth = SyntheticTruth(side, side, mpp, nuclei_per_mm2=4000, tissue_share=1.0)
    window = Box(round(120 / mpp), round(140 / mpp), round(110 / mpp) + 1, round(95 / mpp) + 2)

    def render(box: Box) -> NDArray[np.uint8]:
        return truth.render(Box(box.y + window.y, box.x + window.x, box.height, box.width))

    write_pyramidal_tiff(path, Frame(*window.shape, mpp), render, level_downsamples=(1,), compression="deflate")
    return truth.render_mask(window)


def find_nuclei(folder: Path, path: Path, tissue: TissueMask | None, core_px: int) -> pa.Table:
    """nuclei.parquet of a slide; without a mask, all of it is tissue."""
    folder.mkdir()
    with open_slide(path) as slide:
        level0, base = slide.info.frame, base_source(slide, TARGET_MPP).frame
    recipe = Recipe(
        "cut", level0, base, core_px,
        nuclei=Network("violet", Violet(), TARGET_MPP, halo_px=16, classes=VIOLET_CLASSES),
    )  # fmt: skip
    workspace = Workspace(folder, "cut", SlideRef(path, None, "auto", TARGET_MPP))
    (tissue or TissueMask.everything(level0)).save(workspace.tissue_path)
    recipe.create_layers(workspace.store)
    assert recipe.segment
    with Workers(Workforce(processes=0)) as workers:
        for stage in (recipe.ingest, recipe.segment):
            workers.run(plan_stage(Job(workspace, stage)))
    gather_nuclei(workspace, recipe.segment)
    return pq.read_table(workspace.nuclei_path)


@pytest.mark.parametrize("mpp", [0.25, 0.13, 0.29], ids=["own pixels", "resampled", "used as they are"])
def test_a_nucleus_that_the_slide_cuts_is_found_once_and_reaches_to_the_border(tmp_path: Path, mpp: float) -> None:
    mask = write_window(tmp_path / "cut.svs", mpp)
    pieces, count = ndimage.label(mask)
    areas_um2 = ndimage.sum_labels(mask, pieces, np.arange(1, count + 1)) * mpp**2
    centres = np.array(ndimage.center_of_mass(mask, pieces, np.arange(1, count + 1))) + 0.5
    on_border = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))[1:] - 1
    on_border = on_border[areas_um2[on_border] >= PIECE_UM2]
    assert len(on_border) >= 5
    table = find_nuclei(tmp_path / "work", tmp_path / "cut.svs", None, 256)
    found = np.stack([table[f"centroid_{axis}_level0_px"].to_numpy() for axis in "yx"], axis=-1)
    height, width = mask.shape
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    assert shapely.is_valid(polygons).all()
    assert shapely.covers(shapely.box(0, 0, width, height), polygons).all()
    for piece in on_border:
        near = np.flatnonzero(np.hypot(*(found - centres[piece]).T) * mpp < 1.0)
        assert len(near) == 1
        assert table["area_um2"][int(near[0])].as_py() == pytest.approx(areas_um2[piece], rel=0.15)


@pytest.mark.parametrize("core_px", [256, 512])
def test_tissue_decides_by_the_centroid_alone_and_cuts_no_outline(tmp_path: Path, core_px: int) -> None:
    mask = write_window(tmp_path / "cut.svs", 0.25)
    height, width = mask.shape
    level0 = Frame(height, width, 0.25)
    own = level0.at(2.0)
    y, x = np.indices(own.shape)
    tissue = TissueMask(x + y < 50, own)
    everything = find_nuclei(tmp_path / "all", tmp_path / "cut.svs", None, core_px)
    kept = find_nuclei(tmp_path / "part", tmp_path / "cut.svs", tissue, core_px)
    inside = tissue.contains(
        everything["centroid_y_level0_px"].to_numpy(), everything["centroid_x_level0_px"].to_numpy(), level0
    )
    assert 0 < inside.sum() < len(inside)
    assert kept.equals(everything.filter(pa.array(inside)))
    polygons = shapely.from_wkb(kept["geometry"].to_numpy())
    beyond = shapely.get_coordinates(polygons)
    assert not tissue.contains(beyond[:, 1], beyond[:, 0], level0).all()
