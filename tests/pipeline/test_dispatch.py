"""Batches on a real scheduler and real workers, which are killed, stopped, replaced, and have other code."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch import BatchDone, Job
from pipeline.dispatch import Dispatch, Limits, fitting_one_message
from pipeline.errors import BatchEndsWorkers, HistoloomError, WorkerDiffers, WorkersLost
from pipeline.geometry import Frame
from pipeline.grid import Tile, TileGrid
from pipeline.ngff import Pyramid
from pipeline.plan import plan_stage
from pipeline.schedule import Workers, Workforce
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.pipeline.dask_processes import ROOT, DaskProcesses, dask_processes

FRAME = Frame(1024, 1024, 0.5)
CORE_PX = 256
WITHOUT_EDITABLE = "import sys; sys.meta_path = [one for one in sys.meta_path if '__editable__' not in str(one)]"
BATCHES = 16


@dataclass(frozen=True, slots=True)
class Painting:
    """A stage that writes pixels and rows which depend on the tile alone, and takes its time."""

    seconds: float = 0.15
    deadly: bool = False
    """Whether it ends the worker that does it, as the system does when memory runs out."""
    name: str = "painting"
    batch_tiles: int = 1

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        return TileGrid(FRAME, CORE_PX)

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        time.sleep(self.seconds)
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        layer = workspace.store.layer("0")
        for tile in tiles:
            random = np.random.default_rng([tile.row, tile.col])
            layer.write(tile.core, random.integers(0, 256, (*tile.core.shape, 3), np.uint8))
        return pa.table({"row": [tile.row for tile in tiles], "col": [tile.col for tile in tiles]})


def new_workspace(folder: Path) -> Workspace:
    folder.mkdir()
    workspace = Workspace(folder, "slide", SlideRef(folder / "none.svs", None, "auto", FRAME.mpp))
    workspace.store.create_image("", "slide", Pyramid((FRAME,)), CORE_PX)
    TissueMask.everything(FRAME).save(workspace.tissue_path)
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return new_workspace(tmp_path / "work")


def digests(workspace: Workspace) -> dict[str, str]:
    files = [*workspace.store.path.rglob("*"), *workspace.ledger("painting").fragments()]
    return {str(p.relative_to(workspace.folder)): sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one thread makes of it without a stop."""
    workspace = new_workspace(tmp_path_factory.mktemp("straight") / "work")
    with Workers(Workforce(processes=0)) as workers:
        workers.run(plan_stage(Job(workspace, Painting(seconds=0))))
    return digests(workspace)


def paint(workspace: Workspace, address: str, on_done: Callable[[BatchDone], None] = lambda done: None) -> None:
    with Workers(Workforce(scheduler=address, patience_s=3)) as workers:
        workers.run(plan_stage(Job(workspace, Painting())), on_done)


class AfterBatches:
    """Does something once, when so many batches are through."""

    def __init__(self, batches: int, act: Callable[[], None]) -> None:
        self.left = batches
        self.act = act

    def __call__(self, done: BatchDone) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


def assert_two_lines(error: HistoloomError, *words: str) -> None:
    assert error.cure
    assert len(str(error).splitlines()) == 2
    for word in words:
        assert word in str(error)


def test_a_worker_killed_in_mid_run_leaves_no_trace(
    tmp_path: Path, workspace: Workspace, straight: dict[str, str]
) -> None:
    with dask_processes(tmp_path, workers=2) as processes:
        paint(workspace, processes.address, AfterBatches(3, processes.running[1].kill))
        assert processes.running[1].wait(10) == -signal.SIGKILL
    assert digests(workspace) == straight


@pytest.mark.slow
def test_a_worker_that_falls_silent_is_given_up_and_its_batches_are_done_elsewhere(
    tmp_path: Path, workspace: Workspace, straight: dict[str, str]
) -> None:
    with dask_processes(tmp_path, workers=2, ttl_s=10) as processes:
        silent = processes.running[1]
        paint(workspace, processes.address, AfterBatches(3, lambda: silent.send_signal(signal.SIGSTOP)))
    assert digests(workspace) == straight


def test_when_the_last_worker_never_comes_back_it_is_said_and_a_later_run_goes_on(
    tmp_path: Path, workspace: Workspace, straight: dict[str, str]
) -> None:
    with dask_processes(tmp_path, workers=1) as processes:
        with pytest.raises(WorkersLost) as lost:
            paint(workspace, processes.address, AfterBatches(3, processes.running[1].kill))
        assert_two_lines(lost.value, processes.address, "no worker for 3 s", "painting")
        committed = len(workspace.ledger("painting").done())
        assert 3 <= committed < BATCHES
        processes.start_worker()
        done: list[BatchDone] = []
        paint(workspace, processes.address, done.append)
        assert len(done) == BATCHES - committed
    assert digests(workspace) == straight


def test_a_scheduler_that_is_started_anew_ends_the_run_and_a_later_one_goes_on(
    tmp_path: Path, workspace: Workspace, straight: dict[str, str]
) -> None:
    with dask_processes(tmp_path, workers=1) as processes:

        def restart() -> None:
            processes.running[0].kill()
            processes.running[0].wait(10)
            processes.start_scheduler()

        with pytest.raises(WorkersLost) as lost:
            paint(workspace, processes.address, AfterBatches(3, restart))
        assert_two_lines(lost.value, processes.address, "started anew", "painting")
        assert 3 <= len(workspace.ledger("painting").done()) < BATCHES
        processes.start_worker()
        processes.wait_for_workers(1)
        paint(workspace, processes.address)
    assert digests(workspace) == straight


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_named(tmp_path: Path, workspace: Workspace) -> None:
    with dask_processes(tmp_path, workers=1) as processes:
        begun = time.monotonic()
        with pytest.raises(WorkersLost) as lost:
            paint(workspace, processes.address, AfterBatches(1, processes.running[0].kill))
        assert_two_lines(lost.value, processes.address)
        with pytest.raises(WorkersLost, match="cannot be reached") as lost:
            paint(workspace, processes.address)
        assert_two_lines(lost.value, processes.address)
        assert time.monotonic() - begun < 60


def test_a_worker_with_other_code_is_given_no_work(
    tmp_path: Path, workspace: Workspace, straight: dict[str, str]
) -> None:
    other = tmp_path / "other"
    for package in ("pipeline", "models", "flows"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("bundles", "__pycache__"))
    with (other / "pipeline" / "resample.py").open("a") as file:
        file.write("\n# another version\n")
    with dask_processes(tmp_path, workers=0) as processes:
        stranger = processes.start_worker(other)
        processes.wait_for_workers(1)
        with pytest.raises(WorkerDiffers) as differs:
            paint(workspace, processes.address)
        assert_two_lines(differs.value, "tcp://127.0.0.1", "histoloom's code", "here")
        assert not workspace.ledger("painting").done()
        stranger.kill()
        processes.start_worker()
        paint(workspace, processes.address)
    assert digests(workspace) == straight


def test_a_worker_with_code_of_long_ago_is_told_from_a_dead_one(tmp_path: Path, workspace: Workspace) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(ROOT / "pipeline", bare / "pipeline", ignore=shutil.ignore_patterns("remote.py", "__pycache__"))
    # An editable installation would lend its own modules to the folder that lacks them.
    (bare / "sitecustomize.py").write_text(WITHOUT_EDITABLE)
    with dask_processes(tmp_path, workers=0) as processes:
        processes.start_worker(bare)
        processes.wait_for_workers(1)
        with pytest.raises(WorkerDiffers) as differs:
            paint(workspace, processes.address)
        assert_two_lines(differs.value, "tcp://127.0.0.1", "pipeline.remote")


@pytest.mark.slow
def test_a_batch_that_ends_one_worker_after_another_is_named(tmp_path: Path, workspace: Workspace) -> None:
    with DaskProcesses(tmp_path) as processes:
        processes.start_scheduler()
        processes.start_worker(nanny=True)
        processes.wait_for_workers(1)
        with Workers(Workforce(scheduler=processes.address)) as workers, pytest.raises(BatchEndsWorkers) as ended:
            workers.run(plan_stage(Job(workspace, Painting(0.0, deadly=True))), most_in_flight=1)
        assert_two_lines(ended.value, "batch 0 of stage painting", "memory")
        processes.end()


def test_short_batches_share_messages_and_are_told_of_one_by_one(
    workspace: Workspace, straight: dict[str, str]
) -> None:
    from distributed import Client, get_task_stream

    done: list[BatchDone] = []
    plan = plan_stage(Job(workspace, Painting(0.0)))
    with (
        Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client,
        get_task_stream(client) as messages,
    ):
        Dispatch(client, plan.job, Limits()).run(iter(plan.left), done.append)
    assert [one.number for one in done] == list(range(BATCHES))
    assert len(messages.data) < BATCHES / 2
    assert digests(workspace) == straight


@given(st.floats(0, 1e6))
def test_batches_share_a_message_as_long_as_a_stop_loses_little(batch_s: float) -> None:
    together = fitting_one_message(batch_s)
    assert 1 <= together <= 16
    assert together == 1 or together * batch_s <= 0.2 * (1 + 1e-9)


class AtOnce:
    """Counts how many batches run at the same moment, in this process."""

    lock = threading.Lock()
    now = most = 0


@dataclass(frozen=True, slots=True)
class Counting(Painting):
    """A stage that counts itself."""

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table:
        with AtOnce.lock:
            AtOnce.now += 1
            AtOnce.most = max(AtOnce.most, AtOnce.now)
        time.sleep(self.seconds * (5 if tiles[0].row == tiles[0].col == 0 else 1))  # the first is a straggler
        with AtOnce.lock:
            AtOnce.now -= 1
        return pa.table({"row": [tile.row for tile in tiles]})


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_batches_run_at_once_than_memory_allows(workspace: Workspace, most: int) -> None:
    AtOnce.most = 0
    done: list[BatchDone] = []
    with Workers(Workforce(processes=1)) as workers:
        workers.run(plan_stage(Job(workspace, Counting(0.02))), done.append, most_in_flight=most)
    assert AtOnce.most == min(most, os.cpu_count() or 1)
    assert sorted(one.number for one in done) == list(range(BATCHES))


def test_what_a_batch_raises_reaches_the_driver_as_it_is(workspace: Workspace) -> None:
    shutil.rmtree(workspace.store.path)
    with pytest.raises(HistoloomError, match="there is no layer 0"), Workers(Workforce(processes=1)) as workers:
        workers.run(plan_stage(Job(workspace, Painting(0.0))))
