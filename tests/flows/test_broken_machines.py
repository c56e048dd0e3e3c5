"""Machines die under Prefect, on SQLite and on PostgreSQL: what is lost, who takes the rest, what a second run does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.synthetic import SyntheticTruth
from tests.flows.postgresql import postgresql
from tests.flows.prefect_server import ROOT, Prefect, descendants, end, processes_of, running_server, wait_for
from tests.flows.test_orchestration import LONG, committed, stages, wait_until_at_work

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(5000)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A server without workers."""
    home = tmp_path_factory.mktemp(request.param)
    signs_of_life = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    if request.param == "sqlite":
        with running_server(home, **signs_of_life) as prefect:
            yield prefect
        return
    with (
        postgresql() as address,
        running_server(home, PREFECT_API_DATABASE_CONNECTION_URL=address, **signs_of_life) as prefect,
    ):
        yield prefect


def tell_apart_crashed_runs(prefect: Prefect, folder: Path) -> None:
    """The automation of the manual, with less patience."""
    automation = yaml.safe_load((ROOT / "docs" / "how-to" / "prefect" / "crashed-runs.yaml").read_text())
    automation["trigger"]["within"] = 90
    (folder / "automation.yaml").write_text(yaml.safe_dump(automation))
    made = prefect.command("automation", "create", "--from-file", str(folder / "automation.yaml"))
    assert made.returncode == 0, made.stdout + made.stderr


def test_after_a_machine_died_another_takes_what_waits_and_a_second_run_goes_on(
    server: Prefect, good_slide: Path, synthetic_slide: tuple[Path, SyntheticTruth], tmp_path: Path
) -> None:
    slide, out = synthetic_slide[0], tmp_path / "out"
    parameters = {"slide": str(slide), "out": str(out), "settings": LONG, "workers": 2}
    with server.worker("first", "--limit", "1") as worker:
        server.deploy()
        tell_apart_crashed_runs(server, tmp_path)
        begun = server.hand_in("slide/local", **parameters)
        wait_until_at_work(server, out, slide)
        waiting = server.hand_in("slide/local", slide=str(good_slide), out=str(tmp_path / "other"), settings=LONG)
        end([*processes_of(begun), worker, *descendants(worker)])
    assert not processes_of(begun)
    done = committed(out, slide)
    with server.worker("second", "--limit", "1"):
        assert server.end_of(waiting, 900)["state"]["type"] == "COMPLETED"
        assert server.end_of(begun, 600)["state"]["type"] == "CRASHED"
        again = server.run("slide/local", **parameters)
    assert again["state"]["type"] == "COMPLETED", server.logs()
    assert stages(server.log(again["id"]))["ingest"] == 0, done
    assert (out / slide.stem / "run.json").is_file()


def test_a_run_whose_worker_is_killed_ends_as_crashed_and_leaves_no_process(
    server: Prefect, synthetic_slide: tuple[Path, SyntheticTruth], tmp_path: Path
) -> None:
    slide, out = synthetic_slide[0], tmp_path / "out"
    with server.worker("third") as worker:
        server.deploy()
        run = server.hand_in("slide/local", slide=str(slide), out=str(out), settings=LONG, workers=2)
        wait_until_at_work(server, out, slide)
        end([worker])
        ended = server.end_of(run, 900)
        assert ended["state"]["type"] == "CRASHED", ended["state"]
        wait_for("end of its processes", 300, lambda: not processes_of(run), server.logs)
    assert committed(out, slide)
