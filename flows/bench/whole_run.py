"""A slide from file to report, against the bare time that its networks take for the very same tiles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.bench.measurement import Measurement, Trial
from flows.bench.subject import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.classify import Classify
    from pipeline.config import Precision
    from pipeline.segment import Segment
    from pipeline.slide import PixelSource
    from pipeline.super_resolve import SuperResolve
    from pipeline.tissue import TissueMask
    from pipeline.workspace import Predictor

_GROUP = "run"
_TILES_READ = 16
"""At once, before a clock goes: more is memory, fewer is threads that wait for the last one."""
_COMMAND = (sys.executable, "-c", "from flows.cli import main; main()")


def trials(subject: Subject) -> Iterator[Trial]:
    """One, of several rows."""
    names = (
        "wall",
        "start-up",
        "wall without start-up",
        "networks alone, same tiles",
        "efficiency: wall / networks",
        "efficiency without start-up",
    )
    yield Trial(_GROUP, names, lambda: _measure(subject, names))


@dataclass(frozen=True, slots=True)
class Run:
    """One run that is through."""

    wall_s: float
    start_up_s: float
    """From the process's begin until its first stage began."""
    folder: Path
    facts: dict[str, Any]
    """Its run.json."""


def _measure(subject: Subject, names: Sequence[str]) -> list[Measurement]:
    """Runs and bare loops take turns, so that what else the machine does falls on both."""
    taken = []
    for number in range(subject.repeat):
        run = run_slide(subject.run_slide, subject.scratch / f"run-{number}", subject.precision)
        bare = _bare(subject.run_slide, run, subject.precision)
        taken.append((run, sum(bare.values())))
        figures = {f"{stage['name']} s": stage["seconds"] for stage in run.facts["timings"]["stages"]}
        figures |= {f"networks alone, {stage} s": seconds for stage, seconds in bare.items()}
        shutil.rmtree(run.folder.parent)
    wall, start_up = [run.wall_s for run, _ in taken], [run.start_up_s for run, _ in taken]
    alone = [seconds for _, seconds in taken]
    rest = [whole - part for whole, part in zip(wall, start_up, strict=True)]
    columns = (
        ("s", wall), ("s", start_up), ("s", rest), ("s", alone),
        ("x", [whole / bare for whole, bare in zip(wall, alone, strict=True)]),
        ("x", [whole / bare for whole, bare in zip(rest, alone, strict=True)]),
    )  # fmt: skip
    note = _told(subject, run)
    return [
        Measurement(_GROUP, name, unit, "lower", tuple(values), note, figures=figures if name == names[0] else {})
        for name, (unit, values) in zip(names, columns, strict=True)
    ]


def _told(subject: Subject, run: Run) -> str:
    which = subject.run_slide.name if subject.slide else "a synthetic slide"
    level0 = run.facts["resolution"]["level0"]
    computed = ", ".join(
        f"{name} on {at['device']} {at['precision']} by {at['engine']}" for name, at in run.facts["devices"].items()
    )
    size = f"{level0['width']:,} x {level0['height']:,} px at {level0['mpp']:g} um"
    return f"{which}, {size}, {run.facts['tissue']['share']:.0%} tissue; {computed}"


def run_slide(slide: Path, out: Path, precision: Precision = "auto") -> Run:
    """Call the command as a person would, in a process of its own."""
    begun, start = time.time(), time.perf_counter()
    done = subprocess.run(
        [*_COMMAND, "run", str(slide), "--out", str(out), "--precision", precision, "--log-json"],
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.perf_counter() - start
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    if done.returncode:
        _refuse(slide, events, done.stderr)
    first_stage = next(event["time"] for event in events if event["event"] == "stage")
    (finished,) = out.glob("*/run.json")
    facts = json.loads(finished.read_text(encoding="utf-8"))
    return Run(wall_s, first_stage - begun, finished.parent, facts)


def _refuse(slide: Path, events: Sequence[dict[str, Any]], said: str) -> None:
    from pipeline.errors import SlideError

    told: dict[str, Any] = next(
        (event for event in reversed(events) if event["event"] in ("slide-failed", "error")), {}
    )
    last = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    reason = told.get("reason") or told.get("what") or last
    msg = f"{slide}: its run failed: {reason}"
    raise SlideError(msg, told.get("cure") or f"See it alone: histoloom run {slide} --out DIR")


def _bare(slide: Path, run: Run, precision: Precision) -> dict[str, float]:
    """Stage to the seconds that its network alone takes for the tiles that the run worked on, on as many threads.

    Tiles are read from the finished store, by the stages that the run laid; reading them is not counted, nor are
    loading the network and its first calls.
    """
    from flows.devices import engines
    from flows.slide import lay
    from pipeline.config import SlideConfig
    from pipeline.schedule import Workforce
    from pipeline.slide import open_slide
    from pipeline.store import SlideStore

    with open_slide(slide) as opened:
        config = SlideConfig(precision=precision)  # a run without other options
        laid = lay(opened, run.folder.name, config, engines(config, Workforce()))
    store = SlideStore(run.folder / f"{run.folder.name}.ome.zarr")
    recipe, bare = laid.recipe, {}
    if recipe.super_resolve:
        bare[recipe.super_resolve.name] = _dense(recipe.super_resolve, store.layer("0"), laid.tissue)
    if recipe.segment:
        bare[recipe.segment.name] = _dense(recipe.segment, store.layer(recipe.segment.layer), laid.tissue)
    for classify in recipe.classify:
        bare[classify.name] = _patches(classify, store.layer(classify.layer), laid.tissue)
    refuse_other_tiles(bare, run)
    return {stage: one.seconds for stage, one in bare.items()}


@dataclass(frozen=True, slots=True)
class Alone:
    """What a network did without a run around it."""

    seconds: float
    judged: int
    """Tiles, or a classifier's patches."""


class _SideBySide:
    """A predictor on as many threads as a run has, each with its share of the cores, and the seconds that it takes.

    Pixels are there before the clock goes. As in a run, memory that was freed is kept. Each thread's first call is made
    twice and counted once.
    """

    def __init__(self, predict: Predictor) -> None:
        from concurrent.futures import ThreadPoolExecutor

        from pipeline.allocator import keep_freed_memory
        from pipeline.schedule import count_cores

        keep_freed_memory()
        self._predict, self._threads = predict, count_cores()
        self._pool = ThreadPoolExecutor(self._threads)
        self._cold = True
        self.seconds = 0.0

    def __call__(self, calls: Sequence[NDArray[np.uint8]]) -> None:
        """Answer each of the calls; the more at once, the less do threads wait for the last one."""
        if self._cold:
            list(self._pool.map(self._answer, [calls[0]] * self._threads))
            self._cold = False
        start = time.perf_counter()
        list(self._pool.map(self._answer, calls))
        self.seconds += time.perf_counter() - start

    def _answer(self, tiles: NDArray[np.uint8]) -> None:
        from pipeline.at_work import one_more_batch

        with one_more_batch():
            self._predict(tiles)


def _dense(stage: SuperResolve | Segment, source: PixelSource, tissue: TissueMask) -> Alone:
    """A tile a call: dense networks see one at a time."""
    predict, tiles = _SideBySide(stage.network.load()), list(stage.tiles(tissue))
    for begin in range(0, len(tiles), _TILES_READ):
        predict([source.read(tile.read)[None] for tile in tiles[begin : begin + _TILES_READ]])
    return Alone(predict.seconds, len(tiles))


def _patches(stage: Classify, source: PixelSource, tissue: TissueMask) -> Alone:
    """As many patches a call as a tile owns."""
    import numpy as np

    predict, judged = _SideBySide(stage.network.load()), 0
    owned = (list(stage.patches(tile.core, tissue)) for tile in stage.tiles(tissue))
    boxes = [patches for patches in owned if patches]
    for begin in range(0, len(boxes), _TILES_READ):
        calls = [np.stack([source.read(patch) for patch in one]) for one in boxes[begin : begin + _TILES_READ]]
        predict(calls)
        judged += sum(map(len, calls))
    return Alone(predict.seconds, judged)


def refuse_other_tiles(bare: Mapping[str, Alone], run: Run) -> None:
    """Raise where the loop did not work on what the run worked on: the figure would compare two different things."""
    tiles = {stage["name"]: stage["tiles"] for stage in run.facts["timings"]["stages"]}
    patches = {f"classification/{name}": count for name, count in run.facts["counts"].get("patches", {}).items()}
    other = {stage: one.judged for stage, one in bare.items() if one.judged != (tiles | patches)[stage]}
    if other:
        msg = f"a run worked on {tiles | patches}, the loop that it is held against on {other}"
        raise RuntimeError(msg)
