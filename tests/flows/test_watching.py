"""`histoloom watch` as a person calls it: real files that arrive, real processes that are killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from flows.cli import app
from flows.cohort import Cohort
from flows.inbox import Fate, Look, Policy, Sighting
from flows.inbox_book import Book, Entry
from flows.inbox_folder import FolderInbox
from flows.progress import Quiet
from flows.watching import InProcess, watch, written_outcome
from pipeline.config import CohortConfig
from pipeline.errors import (
    ConfigError,
    DiskFull,
    HistoloomError,
    NoTissue,
    OverBudget,
    ResourceLost,
    StoreBusy,
    WorkersLost,
)
from pipeline.output import SlideOutput
from pipeline.schedule import Workers, Workforce
from pipeline.synthetic import SyntheticTruth

INGEST_ALONE = 'sr = "none"\nnuclei = "none"\nclassifiers = []\n'
ROOT = Path(__file__).parents[2]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "cohort.toml").write_text(INGEST_ALONE)
    return tmp_path / "inbox"


def arguments(inbox: Path) -> list[str]:
    out, config = inbox.with_name("out"), inbox.with_name("cohort.toml")
    return ["watch", str(inbox), "--out", str(out), "--config", str(config), "--workers", "0", "--log-json"]


@contextmanager
def watcher_at_work(inbox: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that watches, and has begun to work on a slide."""
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments(inbox), "--every", "1"]
    with subprocess.Popen(
        [*command, "--settle", "1"], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as watcher:
        assert watcher.stderr is not None
        for line in watcher.stderr:
            if json.loads(line)["event"] == "stage":
                yield watcher
                break


def look_twice(inbox: Path) -> str:
    """What two looks, a moment apart, say on stdout."""
    said = ""
    for _ in range(2):
        done = CliRunner().invoke(app, [*arguments(inbox), "--once", "--settle", "0"])
        assert done.exit_code == 0, done.output
        said += done.stdout
    return said


def entries(inbox: Path) -> dict[str, Entry]:
    book = Book(inbox.with_name("out"))
    with book.locked():
        return {entry.name: entry for entry in book.entries()}


def test_slides_are_worked_on_once_and_known_again_under_other_names(
    inbox: Path, synthetic_slide: tuple[Path, SyntheticTruth]
) -> None:
    shutil.copyfile(synthetic_slide[0], inbox / "one.svs")
    (inbox / "cut-short.svs").write_bytes(synthetic_slide[0].read_bytes()[:100_000])
    assert "one: done" in look_twice(inbox)
    results = inbox.with_name("out") / "one" / "run.json"
    first = results.stat().st_mtime_ns
    (inbox / "one.svs").rename(inbox / "two.svs")
    shutil.copyfile(inbox / "two.svs", inbox / "three.svs")
    said = look_twice(inbox)
    assert f"{inbox / 'two.svs'}: known as one" in said
    assert f"{inbox / 'three.svs'}: known as one" in said
    assert results.stat().st_mtime_ns == first
    assert list(entries(inbox)) == ["one"]  # what is cut short is still waited for
    assert "cohort.parquet" in {path.name for path in inbox.with_name("out").iterdir()}


def test_a_killed_watcher_leaves_a_slide_that_the_next_one_finishes(
    inbox: Path, synthetic_slide: tuple[Path, SyntheticTruth]
) -> None:
    shutil.copyfile(synthetic_slide[0], inbox / "one.svs")
    with watcher_at_work(inbox) as watcher:
        watcher.kill()
    assert entries(inbox)["one"].state == "handed"
    said = look_twice(inbox)
    assert "one: lost, will be tried again: the process that worked on it ended without a word" in said
    entry = entries(inbox)["one"]
    assert (entry.state, entry.attempt, entry.lost) == ("waiting", 1, 1)
    assert 0 < entry.due_s - time.time() <= 300


def test_a_watcher_that_is_told_to_end_takes_the_slide_up_again_at_once(
    inbox: Path, synthetic_slide: tuple[Path, SyntheticTruth]
) -> None:
    shutil.copyfile(synthetic_slide[0], inbox / "one.svs")
    with watcher_at_work(inbox) as watcher:
        watcher.terminate()
        assert watcher.stderr is not None
        assert "what is done stays done" in watcher.stderr.read()
        assert watcher.wait() == 0
    assert entries(inbox)["one"].state == "waiting"
    assert "one: done" in look_twice(inbox)


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (NoTissue("a.svs: no tissue found"), Fate.FAILED),
        (ResourceLost("a.svs: stale file handle"), Fate.LOST),
        (DiskFull("out: no space left"), Fate.LOST),
        (WorkersLost("scheduler tcp://node1:8786: no worker for 60 s"), Fate.LOST),
        (OverBudget("a: wants 90 GiB of memory"), Fate.FAILED),
        (StoreBusy("a: another process"), Fate.LOST),
    ],
)
def test_what_is_written_down_of_a_failure_decides_whether_it_is_tried_again(
    tmp_path: Path, error: HistoloomError, fate: Fate
) -> None:
    assert written_outcome(tmp_path, "a") is None
    SlideOutput(tmp_path, "a").fail(Path("a.svs"), error)
    outcome = written_outcome(tmp_path, "a")
    assert outcome is not None
    assert (outcome.fate, outcome.reason) == (fate, error.what)


def test_a_slide_that_cannot_be_read_is_told_of_and_the_others_are_worked_on(
    inbox: Path, synthetic_slide: tuple[Path, SyntheticTruth]
) -> None:
    (inbox / "a-loop.svs").symlink_to("a-loop.svs")  # no mode keeps the superuser, who runs tests in containers, out
    (inbox / "b-locked.svs").symlink_to("/proc/self/mem")
    shutil.copyfile(synthetic_slide[0], inbox / "one.svs")
    assert "one: done" in look_twice(inbox)


def test_one_look_ends_with_the_exit_code_of_a_run_whose_slides_failed(inbox: Path) -> None:
    glass = np.full((512, 512, 3), 250, np.uint8)
    tifffile.imwrite(
        inbox / "glass.tif", glass, tile=(256, 256), resolution=(20_000, 20_000), resolutionunit="CENTIMETER"
    )
    done = [CliRunner().invoke(app, [*arguments(inbox), "--once", "--settle", "0"]) for _ in range(2)]
    assert [each.exit_code for each in done] == [0, 3], [each.output for each in done]
    assert "glass: failed" in done[1].stdout
    assert CliRunner().invoke(app, [*arguments(inbox), "--once", "--settle", "0"]).exit_code == 0  # nothing new


def test_a_bucket_is_not_taken_for_a_folder(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inbox)
    done = CliRunner().invoke(app, ["watch", str(inbox), "--out", "s3://lab/results", "--once"])
    assert done.exit_code == 2
    assert "s3://lab/results: a watch keeps its results" in done.stderr
    assert list(inbox.iterdir()) == []


def test_a_watch_that_cannot_begin_says_so_to_programs_too(tmp_path: Path) -> None:
    watch = ["watch", str(tmp_path / "nowhere"), "--out", str(tmp_path / "results"), "--once", "--log-json"]
    done = CliRunner().invoke(app, watch)
    assert done.exit_code == 2
    told = json.loads(done.stderr)
    assert (told["event"], told["exit_code"]) == ("error", 2)
    assert str(tmp_path / "nowhere") in told["what"]


def test_an_inbox_that_goes_away_for_a_while_does_not_end_the_watch(inbox: Path) -> None:
    class Away(FolderInbox):
        looks = 0

        def look(self) -> Sequence[Sighting]:
            type(self).looks += 1
            if self.looks == 2:
                self.folder.rename(self.folder.with_name("elsewhere"))
            if self.looks == 4:
                raise KeyboardInterrupt
            if self.looks == 3:
                self.folder.with_name("elsewhere").rename(self.folder)
            return super().look()

    out = inbox.with_name("out")
    told: list[object] = []
    hands = InProcess(Cohort((), out, CohortConfig()), Workers(Workforce(processes=0)), Quiet())
    with pytest.raises(KeyboardInterrupt):
        watch(Away(inbox, out), Book(out), hands, Policy(), 0.01, told.append, told.append)
    assert isinstance(told[0], ConfigError)
    assert isinstance(told[1], Look)
