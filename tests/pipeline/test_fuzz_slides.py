"""Slides come from anyone: whatever is in a file, it is read or refused; no crash, no hang, no gigabytes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fork_server import ForkServer
from tests.pipeline.fuzz_slides import read_mutants, write_seeds

COUNT = int(os.environ.get("HISTOLOOM_MUTANTS", "300"))
A_CHILD = 50


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer("tests.pipeline.fuzz_slides:read_mutants", {"OMP_NUM_THREADS": "1"}) as server:
        yield server


def lost(server: ForkServer, seeds: Path, folder: Path, count: int) -> dict[str, int]:
    """The mutants that ended a process, and how it ended."""
    found, number = {}, 0
    while number < count:
        status = server.run(str(seeds), str(folder), number, min(A_CHILD, count - number))
        now = (folder / "now").read_text()
        if status:
            found[now] = status
        number = int(now.split()[0]) + 1
    return found


@pytest.mark.timeout(8 * 3600)
@pytest.mark.parametrize(
    "count", [pytest.param(COUNT, id="some"), pytest.param(10_000, id="ten thousand", marks=pytest.mark.slow)]
)
def test_mutated_slides_are_read_or_refused(server: ForkServer, tmp_path: Path, count: int) -> None:
    seeds, folder = tmp_path / "seeds", tmp_path / "mutants"
    seeds.mkdir()
    folder.mkdir()
    write_seeds(seeds)
    assert lost(server, seeds, folder, count) == {}


def test_the_slides_that_are_mutated_are_good(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    assert len(list(tmp_path.iterdir())) == 9
    assert read_mutants.__doc__
