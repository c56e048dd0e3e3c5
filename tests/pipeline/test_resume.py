"""Stages over a synthetic slide: one thread, threads and processes give the same bytes, and so does a stopped run."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.batch import BatchDone, Job
from pipeline.gather import gather_nuclei
from pipeline.plan import StagePlan, plan_stage
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import open_slide
from pipeline.stage import Network, Stage
from pipeline.synthetic import SyntheticTruth
from pipeline.tissue import find_tissue
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import Doubling, Violet

SyntheticSlide = tuple[Path, SyntheticTruth]


def recipe_for(path: Path) -> Recipe:
    with open_slide(path) as slide:
        frame = slide.info.frame
    return Recipe(
        "synthetic", frame, frame, core_px=256,
        sr=Network("doubling", Doubling(), frame.mpp, scale=2),
        nuclei=Network("violet", Violet(), frame.mpp / 2, halo_px=16, classes=("background", "interior", "contour")),
    )  # fmt: skip


@pytest.fixture
def workspace(synthetic_slide: SyntheticSlide, tmp_path: Path) -> Workspace:
    path, _ = synthetic_slide
    with open_slide(path) as slide:
        ref = SlideRef(path, None, "auto", slide.info.frame.mpp)
        workspace = Workspace(tmp_path / "work", "synthetic", ref)
        workspace.folder.mkdir()
        find_tissue(slide).save(workspace.tissue_path)
    return workspace


def stages_of(recipe: Recipe) -> Iterator[Stage]:
    assert recipe.super_resolve
    assert recipe.segment
    yield from (recipe.ingest, *recipe.coarser(""), *recipe.coarser("labels/tissue"))
    yield from (recipe.super_resolve, *recipe.coarser("sr"), recipe.segment)


def weave(recipe: Recipe, workspace: Workspace, workers: Workers) -> None:
    recipe.create_layers(workspace.store)
    for stage in stages_of(recipe):
        workers.run(plan_stage(Job(workspace, stage)))
    assert recipe.segment
    gather_nuclei(workspace, recipe.segment)


def digests(workspace: Workspace) -> dict[str, str]:
    files = [*workspace.store.path.rglob("*"), workspace.nuclei_path]
    return {
        str(path.relative_to(workspace.folder)): sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


class Stopped(Exception):
    """What a test raises to stop a run."""


def stop_after(batches: int) -> "StopAfter":
    return StopAfter(batches)


class StopAfter:
    def __init__(self, batches: int) -> None:
        self.left = batches

    def __call__(self, done: BatchDone) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Stopped


@pytest.fixture
def straight(synthetic_slide: SyntheticSlide, workspace: Workspace) -> dict[str, str]:
    with Workers(Workforce(processes=0)) as workers:
        weave(recipe_for(synthetic_slide[0]), workspace, workers)
    return digests(workspace)


@pytest.mark.parametrize("processes", [1, 2])
def test_threads_and_processes_give_the_bytes_of_one_thread(
    synthetic_slide: SyntheticSlide, workspace: Workspace, straight: dict[str, str], tmp_path: Path, processes: int
) -> None:
    other = replace(workspace, folder=tmp_path / "other")
    other.folder.mkdir()
    other.tissue_path.write_bytes(workspace.tissue_path.read_bytes())
    with Workers(Workforce(processes)) as workers:
        weave(recipe_for(synthetic_slide[0]), other, workers)
    assert digests(other) == straight


@pytest.mark.parametrize("batches", [1, 3])
def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been_stopped(
    synthetic_slide: SyntheticSlide, workspace: Workspace, straight: dict[str, str], tmp_path: Path, batches: int
) -> None:
    recipe = recipe_for(synthetic_slide[0])
    other = replace(workspace, folder=tmp_path / "other")
    other.folder.mkdir()
    other.tissue_path.write_bytes(workspace.tissue_path.read_bytes())
    recipe.create_layers(other.store)
    stopped = 0
    with Workers(Workforce(processes=0)) as workers:
        for stage in stages_of(recipe):
            try:
                workers.run(plan_stage(Job(other, stage)), stop_after(batches))
            except Stopped:
                stopped += 1
                assert len(other.ledger(stage.name).done()) == batches
            workers.run(plan_stage(Job(other, stage)))
        weave(recipe, other, workers)
    assert stopped > 3
    assert digests(other) == straight


def test_what_is_done_is_not_planned_again(synthetic_slide: SyntheticSlide, workspace: Workspace) -> None:
    recipe = recipe_for(synthetic_slide[0])
    recipe.create_layers(workspace.store)
    job = Job(workspace, recipe.ingest)
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(job))
        plan: StagePlan = plan_stage(job)
    assert plan.batches > 0
    assert plan.left == ()
