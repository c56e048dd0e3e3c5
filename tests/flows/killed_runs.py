"""Runs of the command that are killed, the whole process tree at once, and what is left of them."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import distributed
import psutil
import tifffile

import flows.cohort
import models.bundle
import models.predict
import pipeline.gather
import pipeline.preview
import pipeline.recipe
import pipeline.report
from flows.cli import main
from pipeline.geometry import Box
from pipeline.slide import open_slide
from tests.fork_server import ForkServer
from tests.terminal import be_run_on

# Imported where they are used, by a run; here before any, so that a process forked off has them.
IMPORTED = (distributed, flows.cohort, models.bundle, models.predict, pipeline.gather, pipeline.preview,
    pipeline.recipe, pipeline.report)  # fmt: skip

REGION = Box(1200, 1000, 300, 280)
"""Tissue of CMU-1-Small-Region, 150 x 140 um: super-resolved, segmented and classified as any slide at 0.5 um/px, in
seconds of a core instead of a minute."""

OPTIONS = ("--core-px", "256", "--device", "cpu", "--precision", "fp32", "--tissue", "all")

# What says when, how long and with how much memory, not what was found.
_OF_THE_RUN = ("timings", "peak_rss_bytes", "finished", "estimated")


def cut_region(slide: Path, box: Box, path: Path) -> Path:
    """A region of a slide's level 0 as a tiled TIFF of its own, without loss, with its um per px."""
    with open_slide(slide) as opened:
        pixels = opened.level(0).read(box)
        per_cm = 10_000 / opened.info.frame.mpp
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(256, 256), compression="zlib", resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def findings(folder: Path) -> dict[str, Any]:
    """Hash of every file of a slide's results, and what its run.json says was found; no times."""
    found: dict[str, Any] = {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "report.html")
    }
    run = json.loads((folder / "run.json").read_text())
    return found | {"report.html": (folder / "report.html").is_file(), "run.json": _timeless(run)}


def _timeless(run: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in run.items() if key not in _OF_THE_RUN}
    tiles = {stage["name"]: stage["batches"] for stage in run["timings"]["stages"]}
    return kept | {"batches": tiles}


def histoloom(*arguments: str) -> None:
    """The command, called in a process that has imported what it needs."""
    sys.argv = ["histoloom", *arguments]
    main()


def histoloom_heard(heard: str, *arguments: str) -> None:
    """The same; what it says goes to a file."""
    file = os.open(heard, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    histoloom(*arguments)


def histoloom_on_terminal(
    path: str, columns: int, lines: int, environment: dict[str, str], encoding: str, *arguments: str
) -> None:
    """The same, on a terminal of its own, as a shell would start it."""
    be_run_on(path, columns, lines)
    os.environ.update(environment)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", 1, encoding) for stream in (1, 2))
    histoloom(*arguments)


def histoloom_apart(out: str, errors: str, *arguments: str) -> None:
    """The same; what it says goes to two files."""
    for stream, file in ((1, out), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    histoloom(*arguments)


def called(function: str, *arguments: Any) -> None:
    """One of the above, by name: so that one server serves all."""
    globals()[function](*arguments)


@dataclass
class Killer:
    """Runs one command again and again, and kills its session at moments drawn at random, until it ends by itself.

    A moment is a number of seconds that the run computed, not that passed: other work on the machine does not move it.
    """

    server: ForkServer
    slide: Path
    out: Path
    options: tuple[str, ...]
    whole_s: float
    """Seconds that a run computes that nobody kills; moments are drawn from 0 to this."""
    rng: random.Random
    workers: tuple[int, ...] = (1,)
    kills: int = 0
    seen: list[str] = field(default_factory=list)
    """How far the run was at each kill."""

    def run_until_done(self, most_kills: int) -> int:
        """Kill at most `most_kills` times, then leave the run alone; returns how often it was killed."""
        killed = 0
        while self._run(self.rng.uniform(0, self.whole_s) if killed < most_kills else None):
            killed += 1
            self.kills += 1
            self.seen.append(self._stage())
        return killed

    def _run(self, kill_after_s: float | None) -> bool:
        """One call; True if it was killed. Fails where it ends by itself and not well."""
        workers = str(self.rng.choice(self.workers))
        child = self.server.start("run", str(self.slide), "--out", str(self.out), "--workers", workers, *self.options)
        if kill_after_s is not None and computed_s(child, kill_after_s) >= kill_after_s:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        status = self.server.wait()
        assert status in (0, -signal.SIGKILL), f"ended with {status}"
        return status != 0

    def _stage(self) -> str:
        partial = self.out / ".partial" / self.slide.stem
        stages = partial / "stages.json"
        if (self.out / self.slide.stem).exists():
            return "published"
        return list(json.loads(stages.read_text()))[-1] if stages.is_file() else "before the first stage"


def computed_s(child: int, enough_s: float = float("inf")) -> float:
    """Wait until a process has computed so many seconds, or has ended; the seconds that it computed."""
    found = 0.0
    while found < enough_s:
        try:
            process = psutil.Process(child)
            found = sum(process.cpu_times()[:2])
            if process.status() == psutil.STATUS_ZOMBIE:
                break
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    return found
