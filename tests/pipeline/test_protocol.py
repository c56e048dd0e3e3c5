"""The commit protocol, explored: the real code, killed before any of its file-system steps, or cut off from power.

`steps.c` stands between the process and libc, so that no step is missed, whoever takes it: Python, Arrow or zarrs. What
a power cut may leave is `power.py`'s model. Whatever came before, the next run must end with the bytes of a run that
nothing happened to, and nothing beside them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from pipeline.synthetic import write_synthetic_slide
from tests.fork_server import ForkServer
from tests.pipeline.power import Disk, read_steps
from tests.pipeline.protocol_run import results

KILLED = -9

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, for steps.c")


@dataclass(frozen=True)
class Bench:
    """What all examples share."""

    server: ForkServer
    slide: Path
    straight: dict[str, str]
    steps: int
    """Of a run that nothing happens to."""

    def run(self, root: Path, last_step: int = -1, log: Path | None = None, *, force: bool = False) -> int:
        """One run, in a process of its own; its exit status."""
        return self.server.run(str(self.slide), str(root), last_step, str(log or ""), force)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("protocol")
    library = folder / "steps.so"
    source = Path(__file__).with_name("steps.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    slide, root, log = folder / "slide.svs", folder / "straight", folder / "log"
    write_synthetic_slide(slide, 90, 270, 0.499, level_downsamples=(1,))  # two cores, both cut off by the frame
    root.mkdir()
    environment = {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    with ForkServer("tests.pipeline.protocol_run:run", environment) as server:
        assert server.run(str(slide), str(root), -1, str(log)) == 0
        yield Bench(server, slide, results(root), len(list(read_steps(log, root))))


class Crashes(RuleBasedStateMachine):
    """Runs over one slide that end early, one after another; at last one that does not."""

    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="protocol-"))
        self.root = self.folder / "out"
        self.root.mkdir()

    @rule(step=st.integers(0, 10**6), force=st.booleans())
    def kill(self, step: int, force: bool) -> None:
        """Killed before any step of a run, or of one with --force."""
        assert self.bench.run(self.root, step % self.bench.steps, force=force) in (0, KILLED)

    @rule(step=st.integers(0, 10**6), seed=st.integers(0, 2**32))
    def cut_power(self, step: int, seed: int) -> None:
        """What was not synced may be lost, name by name and file by file."""
        disk, log = Disk.of(self.root), self.folder / "log"
        assert self.bench.run(self.root, step % self.bench.steps, log) in (0, KILLED)
        for taken in read_steps(log, self.root):
            disk.do(taken)
        shutil.rmtree(self.root)
        self.root.mkdir()
        disk.after_power_cut(self.root, random.Random(seed))

    @precondition(lambda self: any(self.root.iterdir()))
    @rule()
    def finish(self) -> None:
        """A run that nothing happens to."""
        assert self.bench.run(self.root) == 0
        assert results(self.root) == self.bench.straight

    def teardown(self) -> None:
        assert self.bench.run(self.root) == 0
        assert results(self.root) == self.bench.straight
        shutil.rmtree(self.folder)


def explore(bench: Bench, examples: int) -> None:
    Crashes.bench = bench
    quick = settings(
        max_examples=examples, stateful_step_count=4, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=True, database=None,
    )  # fmt: skip
    run_state_machine_as_test(Crashes, settings=quick)


def test_whatever_crashes_came_before_a_run_ends_as_if_there_had_been_none(bench: Bench) -> None:
    explore(bench, examples=3)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_the_same_of_many_more_histories_of_crashes(bench: Bench) -> None:
    explore(bench, examples=int(os.environ.get("HISTOLOOM_HISTORIES", "200")))


def kill_then_finish(bench: Bench, step: int, root: Path) -> None:
    root.mkdir()
    assert bench.run(root, step) == KILLED
    assert bench.run(root) == 0
    assert results(root) == bench.straight, f"killed before step {step} of {bench.steps}"
    shutil.rmtree(root)


def test_a_run_killed_where_results_get_their_name_is_made_good(bench: Bench, tmp_path: Path) -> None:
    for step in range(bench.steps - 12, bench.steps, 4):
        kill_then_finish(bench, step, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.timeout(12 * 3600)
def test_a_run_killed_before_any_of_its_steps_is_made_good(bench: Bench, tmp_path: Path) -> None:
    for step in range(0, bench.steps, int(os.environ.get("HISTOLOOM_EVERY", "1"))):
        kill_then_finish(bench, step, tmp_path / "out")
