"""A slide of 100,000 x 100,000 px, all of it tissue, super-resolved: planned in seconds and little memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pipeline.geometry import Frame
from pipeline.plan import number_batches
from pipeline.recipe import Recipe
from pipeline.stage import Network, Stage
from pipeline.tissue import TissueMask
from tests.stand_ins import VIOLET_CLASSES, Crowding, Doubling, Violet

BAR_CPU_S, BAR_MIB = 10.0, 1024.0


def stages(recipe: Recipe) -> Iterator[Stage]:
    assert recipe.super_resolve
    assert recipe.segment
    assert recipe.draw
    assert recipe.density
    work: list[Stage] = [recipe.ingest, recipe.super_resolve, recipe.segment, recipe.draw, recipe.density]
    yield from (*work, *recipe.classify)
    for group in ("", "labels/tissue", "sr", recipe.draw.group):
        yield from recipe.coarser(group)


def plan_all() -> dict[str, float]:
    """Lay and number every batch of every stage; the time that this took and the most memory of this process."""
    frame = Frame(100_000, 100_000, 0.5)
    recipe = Recipe(
        "large", frame, frame, 1024,
        sr=Network("doubling", Doubling(), 0.5, halo_px=16, scale=2),
        nuclei=Network("violet", Violet(), 0.25, halo_px=96, classes=VIOLET_CLASSES),
        classifiers=(Network("crowding", Crowding(), 4.0, field_px=50, classes=("few", "many")),),
    )  # fmt: skip
    begin = time.process_time()
    tissue = TissueMask.everything(frame)
    batches = sum(len(tuple(number_batches(s.tiles(tissue), s.batch_tiles))) for s in stages(recipe))
    cpu_s = time.process_time() - begin
    return {"batches": batches, "cpu_s": cpu_s, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


@pytest.mark.slow
def test_a_large_slide_is_planned_in_seconds_and_little_memory() -> None:
    code = "import json; from tests.pipeline.test_planning_at_scale import plan_all; print(json.dumps(plan_all()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["batches"] > 25_000
    assert found["cpu_s"] < BAR_CPU_S
    assert found["peak_mib"] < BAR_MIB
