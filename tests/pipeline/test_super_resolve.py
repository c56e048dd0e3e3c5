from pathlib import Path

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from pipeline.batch import Job
from pipeline.geometry import Box, Frame
from pipeline.plan import plan_stage
from pipeline.pyramidal_tiff import write_pyramidal_tiff
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import open_slide
from pipeline.stage import Network
from pipeline.super_resolve import REDUCED_FROM_PX, block_rms, inconsistency
from pipeline.tissue import TissueMask
from pipeline.trimming import trim_px
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Doubling, Violet, doubled

TISSUE = immunohistochemistry()[:128, :128]


def test_a_picture_repeated_pixel_by_pixel_is_nearly_consistent_with_itself() -> None:
    enlarged = TISSUE.repeat(2, axis=0).repeat(2, axis=1)
    assert inconsistency(TISSUE, enlarged).max() < 0.12
    assert inconsistency(TISSUE, enlarged).mean() < 0.01


def test_what_a_network_invents_shows_where_it_did() -> None:
    enlarged = TISSUE.repeat(2, axis=0).repeat(2, axis=1).copy()
    enlarged[64:96, 100:140] = 0
    map_ = inconsistency(TISSUE, enlarged)
    assert map_[34:46, 52:68].min() > 0.2
    assert map_[60:].mean() < 0.01


def test_cells_are_root_mean_squares_of_what_they_hold() -> None:
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    cells = block_rms(values, 4)
    assert cells.shape == (2, 2)
    np.testing.assert_allclose(cells[0, 0], np.sqrt((values[:4, :4] ** 2).mean()), rtol=1e-6)
    np.testing.assert_allclose(cells[1, 1], np.sqrt((values[4:, 4:] ** 2).mean()), rtol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_part_with_its_surroundings_is_as_inconsistent_as_in_the_whole(scale: int) -> None:
    enlarged = np.random.default_rng(scale).integers(0, 256, (128 * scale, 128 * scale, 3), np.uint8)
    part, inner = slice(20, 100), slice(REDUCED_FROM_PX, -REDUCED_FROM_PX)
    of_part = inconsistency(TISSUE[part, part], enlarged[20 * scale : 100 * scale, 20 * scale : 100 * scale])
    np.testing.assert_array_equal(of_part[inner, inner], inconsistency(TISSUE, enlarged)[part, part][inner, inner])


def test_what_tissue_needs_is_super_resolved_and_the_rest_of_a_core_is_white(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 200, (700, 900, 3), np.uint8)
    frame = Frame(700, 900, 0.5)
    write_pyramidal_tiff(
        tmp_path / "noise.svs", frame, lambda box: picture[box.slices()], level_downsamples=(1,), compression="deflate"
    )
    mask = np.zeros((44, 57), np.bool_)
    mask[20:23, 30:34] = True
    tissue = TissueMask(mask, Frame(44, 57, 8.0))
    recipe = Recipe(
        "noise", frame, frame, 512,
        sr=Network("doubling", Doubling(), 0.5, halo_px=16, scale=2),
        nuclei=Network("violet", Violet(), 0.25, halo_px=16, classes=VIOLET_CLASSES),
    )  # fmt: skip
    stage = recipe.super_resolve
    assert stage
    workspace = Workspace(tmp_path, "noise", SlideRef(tmp_path / "noise.svs", None, "auto", 0.5))
    tissue.save(workspace.tissue_path)
    recipe.create_layers(workspace.store)
    with Workers(Workforce(processes=0)) as workers:
        for one in (recipe.ingest, stage):
            workers.run(plan_stage(Job(workspace, one)))
    with open_slide(tmp_path / "noise.svs") as slide:
        whole = doubled(slide.level(0).read(frame.box)[None])[0]
    found = workspace.store.layer("sr/0").read(Box(0, 0, 1400, 1800))
    needed = tissue.dilated(stage.reach_um).hull(frame.box, frame).times(2)
    assert 200 < needed.height < 700
    np.testing.assert_array_equal(found[needed.slices()], whole[needed.slices()])
    spare = needed.grow(2 * trim_px(stage.core_px, stage.cell_px) + 1)
    found[spare.slices()] = 255
    assert (found == 255).all()
