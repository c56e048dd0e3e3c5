"""The command over a region of a real slide, on a disk that somebody else fills meanwhile."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.killed_runs import OPTIONS, computed_s, findings
from tests.fork_server import ForkServer
from tests.small_disk import PAGE, SmallDisk

ROOM = 128 * 2**20 // PAGE
"""More than the estimate asks for, so that the run begins."""

MOMENTS = int(os.environ.get("HISTOLOOM_DISK_MOMENTS", "20"))

pytestmark = pytest.mark.slides


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer("tests.flows.killed_runs:histoloom_heard", {"OMP_NUM_THREADS": "1"}) as server:
        yield server


def fill_at(moments: int, server: ForkServer, region: Path, disk: SmallDisk, heard: Path) -> list[str]:
    """Run the command, fill the disk at each of so many moments of it, make room, run it again; what it said."""
    disk.resize(ROOM)
    straight, out = disk.folder / "straight", disk.folder / "out"
    begun = server.start(str(heard), "run", str(region), "--out", str(straight), *OPTIONS)
    whole_s = computed_s(begun)
    assert server.wait() == 0
    rng, said = random.Random(5), []
    command = ("run", str(region), "--out", str(out), *OPTIONS)
    for moment in range(moments):
        child = server.start(str(heard), *command, *(["--force"] if (out / region.stem).exists() else []))
        computed_s(child, whole_s * (moment + rng.random()) / moments)
        disk.fill()
        time.sleep(0.05)
        disk.fill()  # what was freed in between, such as a draft's
        status, words = server.wait(), heard.read_text()
        assert status in (0, 3), words
        assert "Traceback" not in words
        if status == 3:
            said.append(words)
        disk.clear()
        assert server.run(str(heard), *command) == 0, heard.read_text()
        assert findings(out / region.stem) == findings(straight / region.stem)
    return said


def assert_all_say_where_and_how_much(said: list[str], folder: Path) -> None:
    for words in said:
        joined = " ".join(words.split())
        met = (
            rf"{folder}\S*: no space left: at least [\d,]+ bytes are needed there at once.* run the same command again"
        )
        foreseen = rf"its results want about [\d.]+ MiB; 0 B are free at {folder}.* run the same command"
        assert re.search(f"{met}|{foreseen}", joined), words


@pytest.mark.timeout(1800)
def test_a_disk_that_fills_is_named_and_the_same_command_finishes_when_there_is_room(
    server: ForkServer, region: Path, small_disk: SmallDisk, tmp_path: Path
) -> None:
    said = fill_at(2, server, region, small_disk, tmp_path / "heard")
    assert said
    assert_all_say_where_and_how_much(said, small_disk.folder)


@pytest.mark.slow
@pytest.mark.timeout(24 * 3600)
def test_a_disk_may_fill_at_any_moment(server: ForkServer, region: Path, small_disk: SmallDisk, tmp_path: Path) -> None:
    said = fill_at(MOMENTS, server, region, small_disk, tmp_path / "heard")
    assert len(said) >= MOMENTS // 2
    assert_all_say_where_and_how_much(said, small_disk.folder)
