"""Status reads what runs write: on the screen of a person, in JSON for programs, and while others are at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from flows.cli_status import _seen
from flows.status import holders, slide_states
from flows.status_view import Speeds, print_status
from pipeline.errors import NoTissue
from pipeline.output import SlideOutput, write_json

HISTOLOOM = [sys.executable, "-c", "from flows.cli import main; main()"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One slide done, one failed, one begun: three of its ten batches are committed."""
    (tmp_path / "whole").mkdir()
    write_json(tmp_path / "whole" / "run.json", {"counts": {"nuclei": 7, "patches": {"idc": 3}}})
    SlideOutput(tmp_path, "bad\x1b[31m").fail(
        tmp_path / "bad.svs", NoTissue("bad.svs: no tissue", "Give --tissue all.")
    )
    begun = SlideOutput(tmp_path, "begun").partial
    ledger = begun / "ledger" / "nuclei"
    ledger.mkdir(parents=True)
    for number in range(3):
        (ledger / f"{number:08d}.parquet").touch()
    write_json(begun / "stages.json", {"nuclei": {"batches": 10, "seconds": 2.0, "tiles": 12, "megapixels": 12.6}})
    return tmp_path


def shown(results: Path, columns: int) -> list[str]:
    console = Console(width=columns, file=StringIO(), force_terminal=False)
    print_status(_seen(results), console)
    file = console.file
    assert isinstance(file, StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_json_is_what_scripts_know(results: Path) -> None:
    command = [*HISTOLOOM, "status", str(results), "--json"]
    states = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    stage = {"stage": "nuclei", "batches_done": 3, "batches": 10, "seconds": 2.0}
    assert states == [
        {"slide": "bad\x1b[31m", "state": "failed", "what": "bad.svs: no tissue", "cure": "Give --tissue all.",
         "stages": []},
        {"slide": "begun", "state": "unfinished", "stages": [stage]},
        {"slide": "whole", "state": "done", "counts": {"nuclei": 7, "patches": {"idc": 3}}, "stages": []},
    ]  # fmt: skip


def test_a_person_sees_what_is_at_work_what_failed_and_its_cure_first(results: Path) -> None:
    with FileLock(results / ".partial" / ".begun.lock"):
        assert holders(results) == {"begun"}
        lines = shown(results, 80)
    assert lines[0] == "3 slides: 1 running, 1 failed, 1 done"
    rows = [line.split() for line in lines[2:]]
    assert rows[0] == ["begun", "running", "nuclei", "3", "of", "10"]
    assert rows[1][1:] == ["failed", "bad.svs:", "no", "tissue"]
    assert rows[2] == ["Give", "--tissue", "all."]
    assert rows[3] == ["whole", "done", "nuclei", "7", "patches", "idc", "3"]
    assert "\x1b" not in "".join(lines)
    assert holders(results) == set()
    assert shown(results, 80)[0] == "3 slides: 1 failed, 1 unfinished, 1 done"


def test_forty_columns_hold_it_too(results: Path) -> None:
    lines = shown(results, 40)
    assert max(map(len, lines)) <= 40
    assert "nuclei 3 of 10" in " ".join(" ".join(lines).split())


def test_what_is_seen_to_move_is_told_when_it_will_be_through(results: Path) -> None:
    speeds = Speeds()
    (stage,) = slide_states(results)[1]["stages"]
    assert speeds.left_s("begun", stage) is None
    left = speeds.left_s("begun", {**stage, "batches_done": 8})
    assert left is not None
    assert left < 60


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert shown(tmp_path, 80) == ["no slides yet"]


def test_follow_tells_of_every_change_until_ctrl_c(results: Path) -> None:
    command = [*HISTOLOOM, "status", str(results), "--follow", "--every", "0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = [process.stdout.readline().rstrip() for _ in range(3)]
        assert first[1] == "unfinished  begun  nuclei 3 of 10 batches"
        (results / ".partial" / "begun" / "ledger" / "nuclei" / "00000003.parquet").touch()
        assert process.stdout.readline().rstrip() == "unfinished  begun  nuclei 4 of 10 batches"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr.read() == ""
