"""A million nuclei on one slide, from ledger to pages: `python -m tests.benchmarks.bench_million [--side-px 40960]`.

The rows are those of one drawn tile as `owned_nuclei` measures it, moved to every other tile: real outlines, in the
ledger's own format. Steps run in one process, as on a laptop; the bar is 5 minutes and 1 GiB on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from pipeline import gather
from pipeline.batch import Job
from pipeline.geometry import Frame
from pipeline.grid import Tile
from pipeline.nuclei import owned_nuclei
from pipeline.nuclei_instances import NucleiParameters
from pipeline.plan import number_batches, plan_stage
from pipeline.preview import write_preview
from pipeline.recipe import Recipe
from pipeline.report import write_slide_report
from pipeline.schedule import Workers, Workforce
from pipeline.stage import Network, Stage
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace
from tests.pipeline.nuclei_maps import discs, probabilities_of, random_pixels
from tests.stand_ins import VIOLET_CLASSES, Violet

BAR_S, BAR_MIB = 300.0, 1024.0
CORE_PX = 1024
MPP = 0.25
_SPACING_PX = 41


def drawn_rows(level0: Frame) -> pa.Table:
    """The rows of some 600 nuclei of 7 to 9 um, all within the first tile."""
    random = np.random.default_rng(0)
    grid = [(y, x) for y in range(20, CORE_PX - 16, _SPACING_PX) for x in range(20, CORE_PX - 16, _SPACING_PX)]
    places = np.array(grid) + random.uniform(-1.5, 1.5, (len(grid), 2))
    radii = random.uniform(14, 18, len(grid))
    labels = discs((CORE_PX, CORE_PX), [(y, x, r) for (y, x), r in zip(places, radii, strict=True)])
    box = Frame(CORE_PX, CORE_PX, MPP).box
    tile = Tile(0, 0, box, box)
    frame, pixels = Frame(CORE_PX, CORE_PX, MPP), random_pixels(0, labels.shape)
    return owned_nuclei(probabilities_of(labels), pixels, tile, frame, level0, None, NucleiParameters())


def moved(rows: pa.Table, tile: Tile) -> pa.Table:
    """The rows as another tile would have found them."""
    shift = np.array([tile.core.x, tile.core.y], np.float64)
    outlines = shapely.transform(shapely.from_wkb(rows["geometry"].to_numpy()), lambda corners: corners + shift)
    columns = {name: rows[name] for name in rows.column_names}
    columns["geometry"] = pa.array(shapely.to_wkb(outlines, byte_order=1), pa.binary())
    for axis, offset in zip("xy", shift, strict=True):
        columns[f"centroid_{axis}_level0_px"] = pa.array(rows[f"centroid_{axis}_level0_px"].to_numpy() + offset)
        columns[f"centroid_{axis}_um"] = pa.array(rows[f"centroid_{axis}_um"].to_numpy() + offset * MPP)
    return pa.table(columns)


def prepare(folder: Path, side_px: int) -> tuple[Recipe, Workspace]:
    """A slide whose nuclei are found and committed, and nothing else is done."""
    level0 = Frame(side_px, side_px, MPP)
    network = Network("violet", Violet(), MPP, halo_px=16, classes=VIOLET_CLASSES)
    recipe = Recipe("million", level0, level0, CORE_PX, nuclei=network)
    workspace = Workspace(folder, "million", SlideRef(folder / "none.svs", None, "auto", MPP))
    recipe.create_layers(workspace.store)
    TissueMask.everything(level0).save(workspace.tissue_path)
    assert recipe.segment
    rows, ledger = drawn_rows(level0), workspace.ledger(recipe.segment.name)
    for batch in number_batches(recipe.segment.tiles(workspace.tissue), recipe.segment.batch_tiles):
        ledger.commit(batch.number, pa.concat_tables(moved(rows, tile) for tile in batch.tiles))
    return recipe, workspace


def steps(recipe: Recipe, workspace: Workspace, workers: Workers) -> dict[str, Callable[[], Any]]:
    """What is timed, in the order of a run."""
    assert recipe.segment
    assert recipe.draw
    assert recipe.density
    segment, draw, density = recipe.segment, recipe.draw, recipe.density
    run: dict[str, Any] = {"name": "million", "counts": {}, "layers": {"nuclei": draw.group}}

    def work(*stages: Stage) -> None:
        for stage in stages:
            workers.run(plan_stage(Job(workspace, stage)))

    def gathered() -> None:
        run["counts"]["nuclei"] = gather.gather_nuclei(workspace, segment)

    return {
        "table and GeoJSON": gathered,
        "label image": lambda: work(draw),
        "its pyramid": lambda: work(*recipe.coarser(draw.group)),
        "density": lambda: work(density, *recipe.coarser("heatmaps/nuclei-density")),
        "preview": lambda: write_preview(workspace.folder, run),
        "report": lambda: write_slide_report(workspace.folder, run),
    }


def main() -> None:
    """Time each step and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=40_960)
    parser.add_argument("--folder", type=Path, help="Keep what is prepared here, and use it if it is there.")
    parser.add_argument("--prepare", action="store_true", help="Prepare alone: its memory is not the run's.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(exist_ok=True)
        recipe, workspace = prepare(folder, given.side_px)
        if given.prepare:
            return
        spent = 0.0
        with Workers(Workforce(processes=1)) as workers:
            for step, run in steps(recipe, workspace, workers).items():
                begin, cpu = time.perf_counter(), time.process_time()
                run()
                spent += time.perf_counter() - begin
                peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                row = {"step": step, "seconds": round(time.perf_counter() - begin, 1),
                       "cpu_s": round(time.process_time() - cpu, 1), "peak_mib": round(peak_mib)}  # fmt: skip
                print(json.dumps(row), flush=True)
        verdict = "within" if spent <= BAR_S and peak_mib <= BAR_MIB else "over"
        print(f"{spent:.0f} s, {peak_mib:.0f} MiB: {verdict} the bar of {BAR_S:g} s and {BAR_MIB:g} MiB")


if __name__ == "__main__":
    main()
