"""A real S3 server on this machine: moto's, as a process of its own, with buckets for the tests."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import IO

ACCESS_KEY, SECRET_KEY = "AKIAHISTOLOOMTEST0001", "wJalrXUtnFEMI-very-secret-K7MDENG-bPxRfiCY"
_numbers = count(1)


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and what a client's environment holds to reach it."""

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Variables as for the `aws` command; no file of the tester's home is looked at."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_bucket(self) -> str:
        """The name of a fresh, empty bucket."""
        name = f"cohort-{next(_numbers)}"
        self.request("PUT", f"/{name}")
        return name

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Talk to the server without any client library; unsigned."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status < 400, (method, path, answer.status, content[:300])
        return content

    def keys(self, bucket: str) -> set[str]:
        """The keys of all objects of a bucket (the first thousand)."""
        listing = self.request("GET", f"/{bucket}?list-type=2").decode()
        return set(re.findall(r"<Key>(.*?)</Key>", listing))


@contextmanager
def running_server() -> Iterator[S3Server]:
    """Start a server on a free port; it ends with the block."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = _announced_port(process.stderr)
        threading.Thread(target=_drain, args=(process.stderr,), daemon=True).start()
        yield S3Server("127.0.0.1", port)
    finally:
        process.kill()
        process.wait()


def _announced_port(log: IO[str]) -> int:
    lines = []
    for line in log:
        lines.append(line)
        if found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError("".join(lines))


def _drain(log: IO[str]) -> None:
    for _ in log:
        pass
