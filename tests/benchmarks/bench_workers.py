"""Two dask workers against one: `python -m tests.benchmarks.bench_workers SLIDE [--tissue all] [--out DIR]`.

The same slide, all stages, once with one worker process and once with two, one thread each (OMP_NUM_THREADS too), each
run a process of its own; its stages' own clocks are compared, so that starting Python is not. Each worker loads the
networks for itself, which weighs on short runs: `--tissue all` makes a longer one. The bar: 1.8 times the throughput
where there are two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BAR = 1.8
_RUN = "from flows.cli import main; main()"


def stage_seconds(slide: Path, out: Path, workers: int, tissue: str) -> dict[str, float]:
    """Seconds of each stage, by as many worker processes of one thread."""
    settings = out / "cohort.toml"
    out.mkdir(parents=True)
    settings.write_text(
        f'tissue = "{tissue}"\n[cluster]\nkind = "local"\nworkers = {workers}\nthreads = 1\n', encoding="utf-8"
    )
    command = [sys.executable, "-c", _RUN, "run", str(slide), "--config", str(settings), "--out", str(out / "results")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    (run,) = (json.loads(path.read_text(encoding="utf-8")) for path in (out / "results").glob("*/run.json"))
    return {stage["name"]: stage["seconds"] for stage in run["timings"]["stages"]}


def main() -> None:
    """Run both and print the ratio of each stage that takes a second or more, and of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--tissue", default="auto", choices=("auto", "all"))
    parser.add_argument("--out", type=Path, help="Folder for results; a temporary one by default.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.out) as name:
        one, two = (
            stage_seconds(given.slide.absolute(), Path(name) / str(count), count, given.tissue) for count in (1, 2)
        )
    for stage, seconds in one.items():
        if seconds >= 1:
            print(f"{stage:24} {seconds:7.1f} s {two[stage]:7.1f} s   {seconds / two[stage]:.2f} x")
    all_one, all_two = sum(one.values()), sum(two.values())
    verdict = "within" if all_one / all_two >= BAR else "under"
    print(f"{'all':24} {all_one:7.1f} s {all_two:7.1f} s   {all_one / all_two:.2f} x: {verdict} the bar of {BAR} x")


if __name__ == "__main__":
    main()
