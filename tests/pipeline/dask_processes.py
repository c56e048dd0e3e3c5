"""A real dask scheduler and real workers, each a process of its own, that tests may kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]


@dataclass
class DaskProcesses:
    """One scheduler and some workers; `folder` takes their logs."""

    folder: Path
    ttl_s: int = 300
    """How long a worker may be silent; busy machines are, while they import."""
    port: int = 0
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What `--scheduler` takes."""
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """On a free port at first, on the same one ever after."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        given = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        started = self._start("scheduler", given, ROOT)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return started
            time.sleep(0.1)
        raise TimeoutError("the scheduler does not answer")

    def start_worker(self, code: Path = ROOT, *, nanny: bool = False, threads: int = 1) -> subprocess.Popen[bytes]:
        """A worker that finds histoloom's packages in `code`."""
        kind = "--nanny" if nanny else "--no-nanny"
        given = [self.address, kind, "--nthreads", str(threads), "--memory-limit", "0", "--no-dashboard"]
        return self._start("worker", [*given, "--local-directory", str(self.folder), "--death-timeout", "60"], code)

    def wait_for_workers(self, count: int) -> None:
        """Until so many are there."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def _start(self, kind: str, given: list[str], code: Path) -> subprocess.Popen[bytes]:
        quick = {
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{self.ttl_s}s",
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            "PYTHONPATH": str(code),
            "OMP_NUM_THREADS": "1",
        }
        with (self.folder / f"{kind}-{len(self.running)}.log").open("wb") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *given],
                cwd=self.folder, env={**os.environ, **quick}, stdout=log, stderr=log,
            )  # fmt: skip
        self.running.append(started)
        return started

    def end(self) -> None:
        """Kill what is left."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.running:
            process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@contextmanager
def dask_processes(folder: Path, workers: int, ttl_s: int = 300) -> Iterator[DaskProcesses]:
    """A scheduler with so many workers, all of them there."""
    with DaskProcesses(folder, ttl_s) as processes:
        processes.start_scheduler()
        for _ in range(workers):
            processes.start_worker()
        if workers:
            processes.wait_for_workers(workers)
        yield processes
