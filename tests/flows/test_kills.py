"""A run over a region of a real slide with all stages, killed with its whole process tree, ends as if never killed."""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.killed_runs import OPTIONS, Killer, computed_s, findings
from tests.fork_server import ForkServer

KILLS = int(os.environ.get("HISTOLOOM_KILLS", "100"))

pytestmark = pytest.mark.slides


@dataclass(frozen=True)
class Straight:
    """What a run gives that nobody kills, and the seconds that it computes."""

    found: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer("tests.flows.killed_runs:histoloom", {"OMP_NUM_THREADS": "1"}) as server:
        yield server


@pytest.fixture(scope="module")
def straight(server: ForkServer, region: Path, tmp_path_factory: pytest.TempPathFactory) -> Straight:
    out = tmp_path_factory.mktemp("straight")
    child = server.start("run", str(region), "--out", str(out), *OPTIONS)
    seconds = computed_s(child)
    assert server.wait() == 0
    return Straight(findings(out / "region"), seconds)


def kill(killer: Killer, expected: dict[str, Any], kills: int) -> None:
    """`kills` kills in all; every result compared with the straight one, nothing in a partial one removed by hand."""
    results = 0
    while killer.kills < kills:
        if killer.run_until_done(kills - killer.kills):
            assert findings(killer.out / "region") == expected
            assert not (killer.out / ".partial").exists()
            results += 1
            print(json.dumps({"kills": killer.kills, "results": results, **Counter(killer.seen)}), flush=True)
        shutil.rmtree(killer.out)  # a result that is whole; the next one is begun


@pytest.mark.timeout(3600)
def test_a_run_killed_three_times_ends_as_if_never_killed(
    server: ForkServer, region: Path, straight: Straight, tmp_path: Path
) -> None:
    killer = Killer(server, region, tmp_path / "out", OPTIONS, straight.seconds, random.Random(3))
    kill(killer, straight.found, kills=3)
    assert killer.kills == 3


@pytest.mark.slow
@pytest.mark.timeout(24 * 3600)
def test_a_hundred_kills_leave_no_trace_in_any_array_or_table(
    server: ForkServer, region: Path, straight: Straight, tmp_path: Path
) -> None:
    killer = Killer(server, region, tmp_path / "out", OPTIONS, straight.seconds, random.Random(100), workers=(0, 1, 2))
    kill(killer, straight.found, KILLS)
    assert killer.kills == KILLS
