"""What `--fetch parts` saves of a slide's bytes, and what it costs in requests, beside fetching it whole.

`python -m tests.benchmarks.bench_fetch SLIDE... [--mpp 0.25]` puts each slide into a bucket of a real S3 server on this
machine, ingests it from there (tissue, quality control, image; no network) in both ways, and counts what the server
was asked for of the slide, and what it sent.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fault_proxy import FaultProxy
from tests.s3_server import S3Server, running_server

_RUN = "from flows.cli import main; main()"
_NO_NETWORK = ("--sr", "none", "--nuclei", "none", "--classifier", "none")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What went over the wire."""

    sent_bytes: int
    requests: int

    def __str__(self) -> str:
        return f"{self.sent_bytes / 1e6:.2f} MB, {self.requests} request{'s' * (self.requests != 1)}"


def fetch(server: S3Server, slide: Path, way: str, mpp: float | None) -> Fetched:
    """Ingest a slide from a bucket; what was sent of it."""
    bucket = server.new_bucket()
    server.request("PUT", f"/{bucket}/{slide.name}", slide.read_bytes())
    with FaultProxy((server.host, server.port)) as proxy, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _RUN, "run", f"s3://{bucket}/{slide.name}", *_NO_NETWORK, "--fetch", way]
        command += ["--out", f"{folder}/results", "--staging", f"{folder}/staging", "--quiet"]
        command += ["--mpp", str(mpp)] if mpp else []
        subprocess.run(command, check=True, env=os.environ | server.environment(proxy.endpoint), capture_output=True)
        sizes = [size for request, size in proxy.answered if request.startswith(f"GET /{bucket}/{slide.name}")]
    return Fetched(sum(sizes), len(sizes))


def main() -> None:
    """Print a row a slide, as in docs/explanation/object-storage.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--mpp", type=float, help="um per level-0 pixel, where files say none.")
    given = parser.parse_args()
    print("| slide | whole | in parts |\n|---|---|---|")
    with running_server() as server:
        for slide in given.slides:
            whole, parts = (fetch(server, slide, way, given.mpp) for way in ("whole", "parts"))
            print(f"| {slide.name} | {whole} | {parts} |", flush=True)


if __name__ == "__main__":
    main()
