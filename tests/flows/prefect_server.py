"""A real Prefect server, real workers, and the command line that talks to them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import psutil
import pytest

ROOT = Path(__file__).parents[2]
_TRIES = 20
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Prefect:
    """A server that runs."""

    home: Path
    url: str
    environment: dict[str, str]
    workers: list[psutil.Process] = field(default_factory=list)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `prefect ...` as a user would, without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    def ask(self, path: str, question: dict[str, Any] | None = None) -> Any:
        """What the server's API answers."""
        body = None if question is None else json.dumps(question).encode()
        request = Request(f"{self.url}/{path}", body, {"content-type": "application/json"})
        for _ in range(_TRIES):
            with suppress(TimeoutError):
                try:
                    with urlopen(request, timeout=60) as answer:
                        return json.load(answer)
                except HTTPError as error:
                    if error.code != HTTPStatus.SERVICE_UNAVAILABLE:  # said by SQLite on a busy machine
                        raise
            time.sleep(2)
        return pytest.fail(f"no answer from {path}:\n{self.logs()}")

    def deploy(self) -> None:
        """`prefect deploy --all`."""
        deployed = self.command("deploy", "--all")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment, by flow and name."""
        found = self.ask(f"deployments/name/{name}")
        assert isinstance(found, dict)
        return found

    def hand_in(self, deployment: str, **parameters: Any) -> str:
        """Start a run; its id."""
        once = {"parameters": parameters, "idempotency_key": uuid4().hex}  # whatever is asked again on a busy machine
        return str(self.ask(f"deployments/{self.deployment(deployment)['id']}/create_flow_run", once)["id"])

    def run(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Start a run and wait for its end."""
        return self.end_of(self.hand_in(deployment, **parameters))

    def flow_run(self, run: str) -> dict[str, Any]:
        """A run as it stands now."""
        found = self.ask(f"flow_runs/{run}")
        assert isinstance(found, dict)
        return found

    def end_of(self, run: str, seconds: float = 1500) -> dict[str, Any]:
        """A run, once it is over."""
        wait_for(f"end of the run {run}", seconds, lambda: self.flow_run(run)["state"]["type"] in FINAL, self.logs)
        return self.flow_run(run)

    def wait_for_line(self, run: str, words: str, seconds: float = 600) -> None:
        """Wait until a run's log says something."""
        wait_for(f"line {words!r} in the log", seconds, lambda: any(words in line for line in self.log(run)), self.logs)

    def log(self, run: str) -> list[str]:
        """What a run and its tasks said."""
        entries = self.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
        return [entry["message"] for entry in entries]

    def tasks(self, run: str) -> dict[str, tuple[str, int]]:
        """The tasks of a run: name to type of state and number of tries."""
        found = self.ask("task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [run]}}})
        return {task["name"]: (task["state"]["type"], task["run_count"]) for task in found}

    def names_of_states(self, run: str) -> list[str]:
        """How the tasks of a run stand, in Prefect's finer words."""
        found = self.ask("task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [run]}}})
        return [task["state"]["name"] for task in found]

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a run, by key."""
        found = self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {artifact["key"]: artifact for artifact in found}

    def logs(self) -> str:
        """The last lines of the server's and the workers' own logs."""
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in sorted(self.home.glob("*.log")))

    @contextmanager
    def worker(self, name: str, *options: str) -> Iterator[psutil.Process]:
        """A worker of the pool `local`; it and all that it started are gone afterwards."""
        start = ("worker", "start", "--pool", "local", "--type", "process", "--install-policy", "never")
        with self.process(f"worker-{name}", *start, "--name", name, *options) as worker:
            wait_for("work pool", 600, lambda: self.ask("work_pools/local"), self.logs)
            wait_for("worker", 600, lambda: self._is_online(name), self.logs)
            yield worker

    def _is_online(self, name: str) -> bool:
        workers = self.ask("work_pools/local/workers/filter", {})
        return any(worker["name"] == name and worker["status"] == "ONLINE" for worker in workers)

    @contextmanager
    def process(self, log: str, *arguments: str) -> Iterator[psutil.Process]:
        """Run `prefect ...` beside the test."""
        with (self.home / f"{log}.log").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                cwd=ROOT, env=self.environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        watched = psutil.Process(process.pid)
        try:
            yield watched
        finally:
            family = descendants(watched)  # a run leads a process group of its own
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()
            end(family)


@contextmanager
def running_server(home: Path, **environment: str) -> Iterator[Prefect]:
    """A server on a free port of 127.0.0.1, with its database in `home` unless the environment names another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    prefect = Prefect(home, url, inherited | {
        "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1", "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1", "COLUMNS": "400", "PREFECT_API_DATABASE_TIMEOUT": "120",
        "PREFECT_API_REQUEST_TIMEOUT": "180",
    } | environment)  # fmt: skip
    with prefect.process("server", "server", "start", "--port", str(port)):
        wait_for("server", 900, lambda: prefect.ask("health"), prefect.logs)
        yield prefect


def wait_for(what: str, seconds: float, is_there: Callable[[], object], logs: Callable[[], str] = str) -> None:
    """Ask until the answer is yes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if is_there():
                return
        time.sleep(0.3)
    pytest.fail(f"no {what} after {seconds:g} s:\n{logs()}")


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """All that a process started, and what those started."""
    with suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def end(processes: list[psutil.Process]) -> None:
    """SIGKILL."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def processes_of(run: str) -> list[psutil.Process]:
    """All processes of this machine that work for a flow run: its own, and dask's."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
