"""What people do to runs on a real server: cancel them, limit them, give them too little time, watch a folder."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flows.inbox_book import Book
from pipeline.synthetic import SyntheticTruth
from tests.flows.postgresql import postgresql
from tests.flows.prefect_server import Prefect, processes_of, running_server, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3000)]

INGEST_ALONE: dict[str, Any] = {"sr": "none", "nuclei": "none", "classifiers": []}
# Long enough to be caught at work: a real network over many small tiles.
LONG: dict[str, Any] = {**INGEST_ALONE, "nuclei": "nuclei-unet", "mpp": 0.25, "core_px": 256, "device": "cpu"}
SEGMENT = "nuclei"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def prefect(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A server with a worker and all deployments, on each of the databases that Prefect knows."""
    if request.param == "sqlite":
        yield request.getfixturevalue("prefect_on_sqlite")
        return
    home = tmp_path_factory.mktemp("postgresql")
    with (
        postgresql() as address,
        running_server(home, PREFECT_API_DATABASE_CONNECTION_URL=address) as server,
        server.worker("first"),
    ):
        server.deploy()
        yield server


def stages(log: list[str]) -> dict[str, int]:
    """Tiles to do, by stage, as a run's log says."""
    said = (re.fullmatch(r"\S+: stage (\S+), tiles to do: (\d+)", line) for line in log)
    return {match[1]: int(match[2]) for match in said if match}


def committed(out: Path, slide: Path) -> set[str]:
    """The batches of the network's stage that are done."""
    return {path.name for path in (out / ".partial" / slide.stem / "ledger" / SEGMENT).glob("[0-9]*.parquet")}


def wait_until_at_work(prefect: Prefect, out: Path, slide: Path) -> None:
    wait_for("batch of the network", 1500, lambda: committed(out, slide), prefect.logs)


def test_a_cancelled_run_stops_its_dask_work_and_the_next_run_goes_on(
    prefect: Prefect, synthetic_slide: tuple[Path, SyntheticTruth], tmp_path: Path
) -> None:
    slide, out = synthetic_slide[0], tmp_path / "out"
    parameters = {"slide": str(slide), "out": str(out), "settings": LONG, "workers": 2}
    first = prefect.hand_in("slide/local", **parameters)
    wait_until_at_work(prefect, out, slide)
    at_work = processes_of(first)
    assert len(at_work) > 2, "the run's own process and two of dask's"
    cancelled = prefect.command("flow-run", "cancel", first)
    assert cancelled.returncode == 0, cancelled.stderr
    assert prefect.end_of(first)["state"]["type"] == "CANCELLED"
    wait_for("end of its processes", 600, lambda: not processes_of(first), prefect.logs)
    done = committed(out, slide)
    second = prefect.run("slide/local", **parameters)
    assert second["state"]["type"] == "COMPLETED", prefect.log(second["id"])
    before, after = stages(prefect.log(first)), stages(prefect.log(second["id"]))
    assert before["ingest"] > 0
    assert after["ingest"] == 0
    assert after[SEGMENT] < before[SEGMENT], (done, before, after)


def test_one_slide_at_a_time_where_the_limit_is_one(prefect: Prefect, good_slide: Path, tmp_path: Path) -> None:
    place = f"slide-on-{re.sub('[^A-Za-z0-9.]+', '-', socket.gethostname())}-cpu"
    made = prefect.command("gcl", "create", place, "--limit", "1")
    assert made.returncode == 0, made.stdout + made.stderr
    try:
        slow = {**INGEST_ALONE, "core_px": 256}
        runs = [
            prefect.hand_in("slide/local", slide=str(good_slide), out=str(tmp_path / out), settings=slow)
            for out in ("one", "two", "three")
        ]
        assert {prefect.end_of(run)["state"]["type"] for run in runs} == {"COMPLETED"}
    finally:
        prefect.command("gcl", "delete", place)
    for run in runs:
        prefect.wait_for_line(run, f"waiting for a slot of {place}")
    of_runs = {"flow_run_id": {"any_": runs}}
    spans = sorted(
        (datetime.fromisoformat(task["start_time"]), datetime.fromisoformat(task["end_time"]))
        for task in prefect.ask("task_runs/filter", {"task_runs": of_runs})
    )
    assert len(spans) == 3
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans))


def test_a_slide_that_takes_too_long_has_failed_and_what_it_did_stays_done(
    prefect: Prefect, synthetic_slide: tuple[Path, SyntheticTruth], tmp_path: Path
) -> None:
    slide, out = synthetic_slide[0], tmp_path / "out"
    run = prefect.run(
        "slide/local", slide=str(slide), out=str(out), settings=LONG, workers=0, slide_timeout_minutes=0.05
    )
    assert run["state"]["type"] == "FAILED"
    assert f"{slide}: not done after 0.05 minutes" in run["state"]["message"]
    assert prefect.tasks(run["id"]) == {slide.name: ("FAILED", 1)}
    assert (out / ".partial" / slide.stem / "failed.json").is_file()


def test_a_slide_whose_disk_gives_way_is_tried_again(prefect: Prefect, good_slide: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "out" / ".partial" / good_slide.stem
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("where the slide's folder would be")
    run = prefect.hand_in("slide/local", slide=str(good_slide), out=str(tmp_path / "out"), settings=INGEST_ALONE)
    wait_for(
        "pause before the second try", 1500, lambda: prefect.names_of_states(run) == ["AwaitingRetry"], prefect.logs
    )
    in_the_way.unlink()
    assert prefect.end_of(run)["state"]["type"] == "COMPLETED"
    assert prefect.tasks(run) == {good_slide.name: ("COMPLETED", 2)}


def test_the_watch_hands_each_slide_over_once_and_hears_what_became_of_it(
    prefect: Prefect, good_slide: Path, tmp_path: Path
) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    shutil.copyfile(good_slide, inbox / "a.svs")
    look = {"inbox": str(inbox), "out": str(out), "settings": INGEST_ALONE, "settle_seconds": 1}
    first, second = (prefect.run("watch/inbox", **look) for _ in range(2))
    assert first["state"]["message"] == f"arriving: {inbox / 'a.svs'}"
    assert second["state"]["message"] == "handed: a"
    (run,) = [run for run in prefect.ask("flow_runs/filter", {}) if run["name"] == "a"]
    assert prefect.end_of(run["id"])["state"]["type"] == "COMPLETED"
    (inbox / "a.svs").rename(inbox / "b.svs")
    assert "done: a" in prefect.run("watch/inbox", **look)["state"]["message"]
    time.sleep(1)
    assert prefect.run("watch/inbox", **look)["state"]["message"] == f"recognised: {inbox / 'b.svs'}"
    assert prefect.run("watch/inbox", **look)["state"]["message"] == "nothing new"
    assert [run["name"] for run in prefect.ask("flow_runs/filter", {})].count("a") == 1
    book = Book(out)
    with book.locked():
        assert [(entry.state, entry.attempt) for entry in book.entries()] == [("done", 1)]
