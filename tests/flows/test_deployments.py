"""Cohorts under Prefect: parameters and states in this process, then a real server, a real worker, real runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
from prefect.states import Failed

from flows.deployments import cohort, process_slide_task
from pipeline.errors import ConfigError, HistoloomError, NoTissue, ResourceLost, UnreadableSlide
from pipeline.synthetic import write_synthetic_slide

ROOT = Path(__file__).parents[2]
INGEST_ALONE = {"sr": "none", "nuclei": "none", "classifiers": []}


def test_an_unknown_setting_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    with pytest.raises(ConfigError, match="no such setting: nucleus"):
        cohort.fn([str(tmp_path)], str(tmp_path / "out"), settings={"nucleus": "none"})
    assert not (tmp_path / "out").exists()


def test_settings_stand_above_the_cohorts_file(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    (tmp_path / "cohort.toml").write_text('core_px = 512\nnuclei = "of-the-file"\n')
    with pytest.raises(Exception, match="of-the-settings"):
        cohort.fn([str(tmp_path)], str(tmp_path / "out"), {"nuclei": "of-the-settings"}, str(tmp_path / "cohort.toml"))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ResourceLost("/data/a.svs: stale file handle"), True),
        (UnreadableSlide("/data/a.svs: no slide"), False),
        (NoTissue("/data/a.svs: no tissue found"), False),
        (ConfigError("sr = 'x'"), False),
    ],
)
def test_a_lost_resource_alone_is_worth_another_try(error: HistoloomError, again: bool) -> None:
    worth_it = process_slide_task.retry_condition_fn
    assert worth_it is not None
    assert worth_it(process_slide_task, None, Failed(data=error)) is again  # type: ignore[arg-type]
    assert process_slide_task.retries > 0


@dataclass(frozen=True)
class Prefect:
    """A server and a worker that run, and the command line that talks to them."""

    url: str
    environment: dict[str, str]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `prefect ...` as a user would, without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    def run_cohort(self, slides: list[Path], out: Path) -> subprocess.CompletedProcess[str]:
        """`prefect deployment run cohort/local`, watched to its end."""
        given = {"slides": json.dumps([str(path) for path in slides]), "settings": json.dumps(INGEST_ALONE)}
        parameters = [part for key, value in given.items() for part in ("-p", f"{key}={value}")]
        return self.command("deployment", "run", "cohort/local", *parameters, "-p", f"out={out}", "--watch")

    def log(self) -> list[str]:
        """What all runs said."""
        return [entry["message"] for entry in self.ask("logs/filter", {})]

    def ask(self, path: str, question: dict[str, Any] | None = None) -> Any:
        """What the server's API answers."""
        body = None if question is None else json.dumps(question).encode()
        with urlopen(Request(f"{self.url}/{path}", body, {"content-type": "application/json"}), timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A server on a free port of 127.0.0.1, with SQLite in a folder of its own, and a worker of the pool `local`."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1", "DO_NOT_TRACK": "1", "NO_PROXY": "127.0.0.1", "COLUMNS": "400",
    }  # fmt: skip
    running = Prefect(url, environment)
    with ExitStack() as stack:
        stack.enter_context(_process(running, home / "server.log", "server", "start", "--port", str(port)))
        _wait_for("server", 180, lambda: running.ask("health"), home / "server.log")
        worker = ("worker", "start", "--pool", "local", "--type", "process", "--install-policy", "never")
        stack.enter_context(_process(running, home / "worker.log", *worker))
        _wait_for("work pool", 120, lambda: running.ask("work_pools/local"), home / "worker.log")
        deployed = running.command("deploy", "--all")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        yield running


@contextmanager
def _process(prefect: Prefect, log: Path, *arguments: str) -> Iterator[None]:
    """Run `prefect ...` beside the test; it and all that it started are gone afterwards."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT, env=prefect.environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        family = psutil.Process(process.pid).children(recursive=True)  # a run leads a process group of its own
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.wait()
        for member in family:
            if member.is_running():
                member.kill()


def _wait_for(what: str, seconds: float, is_there: Callable[[], object], log: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if is_there():
                return
        time.sleep(0.3)
    pytest.fail(f"no {what} after {seconds:g} s" + (f":\n{log.read_text()[-3000:]}" if log else ""))


@pytest.fixture(scope="module")
def good_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real slide where there is one, else a synthetic one."""
    real = Path(os.environ.get("HISTOLOOM_DATA", ""), "wsi", "CMU-1-Small-Region.svs")
    if os.environ.get("HISTOLOOM_DATA") and real.is_file():
        return real
    path = tmp_path_factory.mktemp("slides") / "good.svs"
    write_synthetic_slide(path, 600, 800, 0.5)
    return path


@pytest.mark.server
def test_a_deployed_cohort_runs_to_completed(prefect: Prefect, good_slide: Path, tmp_path: Path) -> None:
    run = prefect.run_cohort([good_slide], tmp_path / "out")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "out" / good_slide.stem / "run.json").is_file()
    assert (tmp_path / "out" / "report.html").is_file()
    _wait_for("a log line a stage", 20, lambda: any(f"{good_slide.stem}: stage " in line for line in prefect.log()))


@pytest.mark.server
def test_a_bad_slide_fails_the_cohort_with_its_reason_and_the_good_one_is_done(
    prefect: Prefect, good_slide: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "no-slide.svs"
    bad.write_text("This is a text file.")
    run = prefect.run_cohort([bad, good_slide], tmp_path / "out")
    assert run.returncode == 1, run.stdout + run.stderr
    assert (tmp_path / "out" / good_slide.stem / "run.json").is_file()
    (flow_run,) = prefect.ask("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}})
    assert flow_run["state"]["message"].startswith("slides failed: 1 of 2")
    assert f"no-slide: {bad}: not a slide that can be read" in flow_run["state"]["message"]
    tasks = prefect.ask("task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [flow_run["id"]]}}})
    outcomes = {task["name"]: (task["state"]["type"], task["run_count"]) for task in tasks}
    assert outcomes == {"no-slide.svs": ("FAILED", 1), good_slide.name: ("COMPLETED", 1)}
