"""Stages over a synthetic slide: one thread, threads and processes give the same bytes, and so does a stopped run."""

from collections.abc import Iterator
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
from pipeline.synthetic import write_synthetic_slide
from pipeline.tissue import find_tissue
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Doubling, Violet

# Small cores make many batches of a small slide.
CORE_PX = 256


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "synthetic.svs"
    write_synthetic_slide(path, 700, 520, 0.499, level_downsamples=(1, 4))
    return path


@pytest.fixture(scope="module")
def recipe(slide_path: Path) -> Recipe:
    with open_slide(slide_path) as slide:
        frame = slide.info.frame
    return Recipe(
        "synthetic", frame, frame, CORE_PX,
        sr=Network("doubling", Doubling(), frame.mpp, scale=2),
        nuclei=Network("violet", Violet(), frame.mpp / 2, halo_px=16, classes=VIOLET_CLASSES),
    )  # fmt: skip


def new_workspace(slide_path: Path, folder: Path) -> Workspace:
    folder.mkdir()
    with open_slide(slide_path) as slide:
        workspace = Workspace(folder, "synthetic", SlideRef(slide_path, None, "auto", slide.info.frame.mpp))
        find_tissue(slide).save(workspace.tissue_path)
    return workspace


@pytest.fixture
def workspace(slide_path: Path, tmp_path: Path) -> Workspace:
    return new_workspace(slide_path, tmp_path / "work")


def stages_of(recipe: Recipe) -> Iterator[Stage]:
    assert recipe.super_resolve
    assert recipe.segment
    yield recipe.ingest
    yield from recipe.coarser("")
    yield from recipe.coarser("labels/tissue")
    yield recipe.super_resolve
    yield from recipe.coarser("sr")
    yield recipe.segment


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


class StopAfter:
    """Stops a run after some batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def __call__(self, done: BatchDone) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Stopped


@pytest.fixture(scope="module")
def straight(recipe: Recipe, slide_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one thread makes of the slide without a stop."""
    workspace = new_workspace(slide_path, tmp_path_factory.mktemp("straight") / "work")
    with Workers(Workforce(processes=0)) as workers:
        weave(recipe, workspace, workers)
    return digests(workspace)


@pytest.mark.parametrize("processes", [1, 2])
def test_threads_and_processes_give_the_bytes_of_one_thread(
    recipe: Recipe, workspace: Workspace, straight: dict[str, str], processes: int
) -> None:
    with Workers(Workforce(processes)) as workers:
        weave(recipe, workspace, workers)
    assert digests(workspace) == straight


@pytest.mark.parametrize("batches", [1, 2])
def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been_stopped(
    recipe: Recipe, workspace: Workspace, straight: dict[str, str], batches: int
) -> None:
    recipe.create_layers(workspace.store)
    stopped = 0
    with Workers(Workforce(processes=0)) as workers:
        for stage in stages_of(recipe):
            try:
                workers.run(plan_stage(Job(workspace, stage)), StopAfter(batches))
            except Stopped:
                stopped += 1
                assert len(workspace.ledger(stage.name).done()) == batches
            workers.run(plan_stage(Job(workspace, stage)))
        weave(recipe, workspace, workers)
    assert stopped >= 2
    assert digests(workspace) == straight


def test_what_is_done_is_not_planned_again(recipe: Recipe, workspace: Workspace) -> None:
    recipe.create_layers(workspace.store)
    job = Job(workspace, recipe.ingest)
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(job))
        plan: StagePlan = plan_stage(job)
    assert plan.batches > 0
    assert plan.left == ()
