"""A real PostgreSQL for a Prefect server's records."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.prefect_server import wait_for

POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own, on a free port of 127.0.0.1; the address of a database."""
    if not POSTGRESQL:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    programs, user = POSTGRESQL[-1].parent, "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="histoloom-postgresql-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        if user:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        made = [f"{programs}/initdb", "--pgdata", data, "--username", "prefect", "--auth", "trust", "--no-sync"]
        subprocess.run(made, user=user, check=True, capture_output=True, cwd=folder)
        start = [f"{programs}/postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", folder, "-c", "fsync=off"]
        with subprocess.Popen(start, user=user, cwd=folder, stderr=subprocess.DEVNULL) as server:
            try:
                ready = [f"{programs}/pg_isready", "--host", "127.0.0.1", "--port", port]
                wait_for(
                    "PostgreSQL", 300, lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0
                )
                yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
            finally:
                server.terminate()
