"""Quality control over a slide: the same whatever the cores and workers, the same when it was stopped, valid NGFF."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from ome_zarr_models import open_ome_zarr
from PIL import Image

from pipeline.batch import BatchDone, Job
from pipeline.plan import plan_stage
from pipeline.qc_flags import BLUR, LEGEND, PEN, QC_LABELS, QcMap
from pipeline.qc_thumbnail import Glance, glance
from pipeline.qc_verdict import verdict
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import open_slide
from pipeline.synthetic import SyntheticTruth
from pipeline.tissue import look_over, tissue_on
from pipeline.workspace import SlideRef, Workspace
from tests.pipeline.qc_truth import inked, out_of_focus

MPP = 0.5
SHAPE = (900, 1100)


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic tissue, its right half out of focus, with a stroke of blue ink along its top."""
    truth = SyntheticTruth(*SHAPE, MPP, tissue_share=0.8)
    sharp = truth.render(truth.frame.box)
    right = np.broadcast_to((np.arange(SHAPE[1]) > 600)[np.newaxis], SHAPE)
    stroke = np.broadcast_to((np.abs(np.arange(SHAPE[0]) - 250) < 130)[:, np.newaxis], SHAPE)
    path = tmp_path_factory.mktemp("slide") / "artefacts.png"
    Image.fromarray(inked(out_of_focus(sharp, right, 5.0), stroke, "blue", MPP)).save(path)
    return path


def prepared(slide_path: Path, folder: Path, core_px: int) -> tuple[Recipe, Workspace, Glance]:
    folder.mkdir()
    with open_slide(slide_path, mpp=MPP) as slide:
        picture, coarse = look_over(slide)
        tissue = tissue_on(picture, coarse)
        seen = glance(picture, coarse, tissue.mask)
        frame = slide.info.frame
    workspace = Workspace(folder, "artefacts", SlideRef(slide_path, MPP, "auto", MPP))
    tissue.save(workspace.tissue_path)
    recipe = Recipe("artefacts", frame, frame, core_px, white=seen.white)
    recipe.create_layers(workspace.store)
    return recipe, workspace, seen


def controlled(recipe: Recipe, workspace: Workspace, seen: Glance, workers: Workers) -> NDArray[np.uint8]:
    """Ingest, inspect, judge and draw; return the drawn label image."""
    assert recipe.inspect
    for stage in (recipe.ingest, recipe.inspect):
        workers.run(plan_stage(Job(workspace, stage)))
    flags, _, _ = verdict(workspace, recipe.inspect, seen)
    flags.save(workspace.flags_path)
    flagged = workspace.restricted(flags.flagged, "flagged.npz")
    for draw in recipe.draw_flags:
        workers.run(plan_stage(Job(flagged, draw)))
    layer = workspace.store.layer(f"{QC_LABELS}/0")
    return np.asarray(layer.read(layer.frame.box))


@pytest.fixture(scope="module")
def straight(slide_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, NDArray[np.uint8]]:
    """Cores of 1,024 px, one thread."""
    recipe, workspace, seen = prepared(slide_path, tmp_path_factory.mktemp("straight") / "work", 1024)
    with Workers(Workforce(processes=0)) as workers:
        return workspace, controlled(recipe, workspace, seen, workers)


def test_blur_and_ink_are_flagged_where_they_are(straight: tuple[Workspace, NDArray[np.uint8]]) -> None:
    _, drawn = straight
    assert (drawn[200:300, 200:900] == PEN).mean() > 0.95
    assert (drawn[500:700, 750:900] == BLUR).mean() > 0.9
    assert (drawn[500:700, 200:450] == 0).mean() > 0.95


@pytest.mark.parametrize(("core_px", "processes"), [(256, 0), (512, 1), (1024, 2)])
def test_flags_depend_on_neither_cores_nor_workers(
    slide_path: Path, straight: tuple[Workspace, NDArray[np.uint8]], tmp_path: Path, core_px: int, processes: int
) -> None:
    recipe, workspace, seen = prepared(slide_path, tmp_path / "work", core_px)
    with Workers(Workforce(processes)) as workers:
        np.testing.assert_array_equal(controlled(recipe, workspace, seen, workers), straight[1])


def test_measurements_depend_on_no_tiling(slide_path: Path, tmp_path: Path) -> None:
    recipe, workspace, seen = prepared(slide_path, tmp_path / "work", 512)
    assert recipe.inspect
    found = []
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(Job(workspace, recipe.ingest)))
        for core_px in (128, 1024):
            stage = replace(recipe.inspect, core_px=core_px, name=f"quality-{core_px}")
            workers.run(plan_stage(Job(workspace, stage)))
            found.append(verdict(workspace, stage, seen))
    np.testing.assert_array_equal(found[0][0].flags, found[1][0].flags)
    assert found[0][1] == found[1][1]


class _Stopped(Exception):
    """What a test raises to stop a run."""


def _stop(done: BatchDone) -> None:
    raise _Stopped


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    slide_path: Path, straight: tuple[Workspace, NDArray[np.uint8]], tmp_path: Path
) -> None:
    recipe, workspace, seen = prepared(slide_path, tmp_path / "work", 256)
    assert recipe.inspect
    small = replace(recipe.inspect, core_px=256, batch_tiles=1)
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(Job(workspace, recipe.ingest)))
        with pytest.raises(_Stopped):
            workers.run(plan_stage(Job(workspace, small)), _stop)
        assert len(workspace.ledger(small.name).done()) == 1
        workers.run(plan_stage(Job(workspace, small)))
        flags, _, _ = verdict(workspace, small, seen)
        flags.save(workspace.flags_path)
        flagged = workspace.restricted(flags.flagged, "flagged.npz")
        draw = replace(recipe.draw_flags[0], batch_tiles=1)
        with pytest.raises(_Stopped):
            workers.run(plan_stage(Job(flagged, draw)), _stop)
        workers.run(plan_stage(Job(flagged, draw)))
    layer = workspace.store.layer(f"{QC_LABELS}/0")
    np.testing.assert_array_equal(layer.read(layer.frame.box), straight[1])


def test_every_level_shows_the_same_map(straight: tuple[Workspace, NDArray[np.uint8]]) -> None:
    store = straight[0].store
    flags = QcMap.load(straight[0].flags_path)
    levels = store.pyramid(QC_LABELS).levels
    assert levels == store.pyramid("").levels
    for level, frame in enumerate(levels):
        np.testing.assert_array_equal(store.layer(f"{QC_LABELS}/{level}").read(frame.box), flags.crop(frame.box, frame))


def test_the_label_image_is_valid_and_says_what_its_values_are(straight: tuple[Workspace, NDArray[np.uint8]]) -> None:
    store = straight[0].store
    group = zarr.open_group(str(store.path), path=QC_LABELS, mode="r")
    assert type(open_ome_zarr(group)).__name__ == "ImageLabel"
    attributes: Any = dict(group.attrs)
    described = attributes["ome"]["image-label"]
    assert {entry["label-value"]: entry["code"] for entry in described["properties"]} == {
        entry.value: entry.code for entry in LEGEND
    }
    assert [entry["label-value"] for entry in described["colors"]] == [entry.value for entry in LEGEND]
    assert "qc" in zarr.open_group(str(store.path), path="labels", mode="r").attrs["labels"]  # type: ignore[operator]


def test_no_quality_control_leaves_no_layer(slide_path: Path, tmp_path: Path) -> None:
    recipe, workspace, _ = prepared(slide_path, tmp_path / "work", 512)
    without = replace(recipe, white=None)
    assert without.inspect is None
    assert without.draw_flags == ()
    bare = replace(workspace, folder=tmp_path / "bare")
    without.create_layers(bare.store)
    assert not bare.store.has(QC_LABELS)
