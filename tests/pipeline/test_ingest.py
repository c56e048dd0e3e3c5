"""What ingest writes: the slide's pixels and the mask, and coarser levels as the stages of a pyramid make them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from pipeline.batch import Job
from pipeline.geometry import Frame
from pipeline.grid import TileGrid
from pipeline.ingest import IMAGE, TISSUE, Ingest, tiles_near
from pipeline.ngff import NgffVersion
from pipeline.plan import plan_stage
from pipeline.pyramid import Halve, Method
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import base_source, open_slide
from pipeline.stage import Stage
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace

# More than a block of 4,096 px along one axis, odd along both; tiles that do not end where cores do.
HEIGHT, WIDTH, MPP = 4803, 1301, 0.25


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "noise.tif"
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 5 + 1, WIDTH // 5 + 1, 3), np.uint8)
    pixels = coarse.repeat(5, 0).repeat(5, 1)[:HEIGHT, :WIDTH]
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(240, 240), compression="deflate")
    return path


@pytest.fixture(scope="module")
def tissue() -> TissueMask:
    """Some of the first block, a corner of the second, in pieces that end inside cores."""
    frame = Frame(HEIGHT, WIDTH, MPP).at(8.0)
    mask = np.zeros(frame.shape, np.bool_)
    mask[3:40, 2:19] = True
    mask[60:63, 30:] = True
    mask[-4:, :7] = True
    return TissueMask(mask, frame)


def recipe_of(slide_path: Path, base_mpp: float, core_px: int) -> Recipe:
    with open_slide(slide_path, mpp=MPP) as slide:
        return Recipe("noise", slide.info.frame, base_source(slide, base_mpp).frame, core_px)


def work(
    folder: Path, slide_path: Path, tissue: TissueMask, recipe: Recipe, *stages: Stage,
    workers: int = 0, ngff: NgffVersion = "0.5",
) -> Workspace:  # fmt: skip
    folder.mkdir()
    workspace = Workspace(folder, "noise", SlideRef(slide_path, MPP, "auto", recipe.base.mpp), ngff)
    tissue.save(workspace.tissue_path)
    recipe.create_layers(workspace.store)
    with Workers(Workforce(workers)) as crew:
        for stage in stages:
            crew.run(plan_stage(Job(workspace, stage)))
    return workspace


def every_level(workspace: Workspace) -> dict[str, NDArray[np.uint8]]:
    store = workspace.store
    return {
        f"{group}/{level}".lstrip("/"): store.layer(f"{group}/{level}".lstrip("/")).read(frame.box)
        for group in (IMAGE, TISSUE)
        for level, frame in enumerate(store.pyramid(group).levels)
    }


def one_after_the_other(recipe: Recipe) -> list[Stage]:
    """Every level read from the store and halved, none made by ingest."""
    reach_um = recipe.ingest.reach_um
    stages: list[Stage] = [replace(recipe.ingest, levels=1)]
    methods: dict[str, Method] = {IMAGE: "mean", TISSUE: "most"}
    for group, method in methods.items():
        for level, frame in enumerate(recipe.pyramids[""].levels[1:], start=1):
            stages.append(Halve(group, level, frame, recipe.core_px, method, reach_um))
    return stages


@pytest.mark.parametrize("core_px", [256, 512, 1024, 2048])
@pytest.mark.parametrize("base_mpp", [MPP, 0.4])
def test_levels_made_in_passing_are_those_made_one_after_the_other(
    slide_path: Path, tissue: TissueMask, tmp_path: Path, core_px: int, base_mpp: float
) -> None:
    recipe = recipe_of(slide_path, base_mpp, core_px)
    passing: list[Stage] = [recipe.ingest, *recipe.coarser(IMAGE), *recipe.coarser(TISSUE)]
    stages = one_after_the_other(recipe)
    assert len(passing) < len(stages)
    expected = every_level(work(tmp_path / "a", slide_path, tissue, recipe, *stages))
    found = every_level(work(tmp_path / "b", slide_path, tissue, recipe, *passing, workers=1))
    assert found.keys() == expected.keys()
    for layer, pixels in expected.items():
        np.testing.assert_array_equal(found[layer], pixels, layer)


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
def test_pixels_are_the_slides_own_near_tissue_and_white_elsewhere(
    slide_path: Path, tissue: TissueMask, tmp_path: Path, ngff: NgffVersion
) -> None:
    recipe = recipe_of(slide_path, MPP, 256)
    workspace = work(tmp_path / "a", slide_path, tissue, recipe, recipe.ingest, ngff=ngff)
    expected = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    slide, grid = tifffile.imread(slide_path), TileGrid(recipe.base, 256)
    cores = [tile.core for tile in tiles_near(tissue, recipe.ingest.reach_um, grid)]
    assert 0 < len(cores) < len(grid)
    for core in cores:
        expected[core.slices()] = slide[core.slices()]
    found = every_level(workspace)
    np.testing.assert_array_equal(found["0"], expected)
    np.testing.assert_array_equal(found[f"{TISSUE}/0"], tissue.crop(recipe.base.box, recipe.base))


@pytest.mark.parametrize(
    ("core_px", "block_px", "coarser"),
    [(256, 4096, 4), (768, 3072, 2), (1024, 4096, 2), (1536, 3072, 1), (4096, 4096, 2), (5120, 5120, 0)],
)
def test_a_block_is_made_of_whole_shards_at_every_level_that_it_makes(
    core_px: int, block_px: int, coarser: int
) -> None:
    ingest = Ingest(Frame(50_000, 50_000, MPP), core_px, 0.0, levels=9)
    assert (ingest.block_px, ingest.coarser) == (block_px, coarser)


def test_no_level_is_made_that_a_small_pyramid_does_not_have() -> None:
    assert Ingest(Frame(300, 300, MPP), 256, 0.0, levels=2).coarser == 1
