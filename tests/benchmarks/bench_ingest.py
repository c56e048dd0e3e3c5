"""A slide to a finished, sharded OME-Zarr pyramid, beside ome-zarr-py writing the same pixels.

`python -m tests.benchmarks.bench_ingest SLIDE [--mpp X] [--workers N] [--peer PYTHON] [--peer-px N]`

Ours decodes the slide, writes all of it (`--tissue all`) and the tissue mask with both their pyramids, and syncs them
to the disk batch by batch. ome-zarr-py is given pixels that are decoded already, in the same chunks and shards, and
syncs nothing. PYTHON is an interpreter that can import it; where none can, its row is left out and that is said. Both
rows are measured one after the other in processes of their own, starting them not counted. The bar: 10 x its speed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.batch import Job
from pipeline.geometry import Box
from pipeline.ngff import CHUNK_PX, SHARD_PX
from pipeline.plan import plan_stage
from pipeline.recipe import Recipe
from pipeline.schedule import Workers, Workforce
from pipeline.slide import base_source, open_slide
from pipeline.stage import Stage
from pipeline.tissue import TissueMask
from pipeline.workspace import SlideRef, Workspace, file_stamp

BAR = 10.0

PEER = """
import json, resource, sys, time
import dask.array, numpy, zarr
from ome_zarr.writer import write_image
pixels = numpy.load(sys.argv[1], mmap_mode="r")
levels, chunk, shard = int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
image = dask.array.from_array(pixels, chunks=(3, shard, shard))
begun, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
write_image(image, zarr.open_group(sys.argv[2], mode="w"), axes="cyx",
            scale_factors=[2 ** level for level in range(1, levels)],
            storage_options={"chunks": (3, chunk, chunk), "shards": (3, shard, shard)})
spent = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"megapixels": pixels[0].size / 1e6, "wall_s": time.perf_counter() - start,
                  "user_s": spent.ru_utime - begun.ru_utime, "sys_s": spent.ru_stime - begun.ru_stime}))
"""


def ingest(slide_path: Path, mpp: float | None, workers: int, folder: Path) -> dict[str, float]:
    """Make the pyramids of a whole slide; what that took."""
    with open_slide(slide_path, mpp=mpp) as slide:
        level0, name = slide.info.frame, slide.info.name
        base = base_source(slide, level0.mpp).frame
    recipe = Recipe(slide=name, level0=level0, base=base, core_px=SHARD_PX)
    workspace = Workspace(folder, name, SlideRef(slide_path, mpp, "auto", level0.mpp, file_stamp(slide_path)))
    TissueMask.everything(level0).save(workspace.tissue_path)
    begun, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    recipe.create_layers(workspace.store)
    with Workers(Workforce(workers)) as crew:
        stages: list[Stage] = [recipe.ingest, *recipe.coarser(""), *recipe.coarser("labels/tissue")]
        for stage in stages:
            crew.run(plan_stage(Job(workspace, stage)))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "megapixels": base.box.area_px / 1e6,
        "wall_s": time.perf_counter() - start,
        "user_s": spent.ru_utime - begun.ru_utime,
        "sys_s": spent.ru_stime - begun.ru_stime,
    }


def peer(slide_path: Path, mpp: float | None, python: str, side_px: int, folder: Path) -> dict[str, float] | None:
    """What ome-zarr-py takes for the corner of side_px x side_px px; None where that interpreter has none."""
    if subprocess.run([python, "-c", "import ome_zarr.writer"], check=False, capture_output=True).returncode:
        return None
    with open_slide(slide_path, mpp=mpp) as slide:
        source = slide.level(0)
        corner = source.frame.box.clip(Box(0, 0, side_px, side_px))
        pixels = np.ascontiguousarray(np.moveaxis(source.read(corner), -1, 0))
    np.save(folder / "pixels.npy", pixels)
    levels = max(1, int(np.ceil(np.log2(max(corner.shape) / CHUNK_PX))) + 1)
    arguments = [folder / "pixels.npy", folder / "peer.zarr", levels, CHUNK_PX, SHARD_PX]
    return _measured([python, "-c", PEER, *map(str, arguments)])


def _measured(command: list[str]) -> dict[str, float]:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


def tell(name: str, figures: dict[str, Any]) -> None:
    """One line of the table."""
    megapixels, wall_s, user_s, sys_s = (figures[name] for name in ("megapixels", "wall_s", "user_s", "sys_s"))
    print(
        f"{name:12s} {megapixels:8.1f} megapixels  wall {wall_s:7.2f} s  user {user_s:6.2f} s  sys {sys_s:5.2f} s"
        f"  {megapixels / wall_s:6.1f} a second of wall, {megapixels / (user_s + sys_s):6.1f} a second of CPU"
    )


def main() -> None:
    """Measure both, print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--workers", type=int, default=1, choices=(0, 1), help="1: threads of this process; 0: one.")
    parser.add_argument("--peer", default=sys.executable, help="Interpreter that has ome-zarr-py. [this one]")
    parser.add_argument("--peer-px", type=int, default=8192, help="Side of the corner that it writes.")
    parser.add_argument("--ours-alone", action="store_true", help="Print what ours took as JSON.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.ours_alone:
            print(json.dumps(ingest(options.slide, options.mpp, options.workers, Path(folder))))
            return
        repeated = [sys.executable, "-m", "tests.benchmarks.bench_ingest", *sys.argv[1:], "--ours-alone"]
        ours = _measured(repeated)
        tell("histoloom", ours)
        theirs = peer(options.slide, options.mpp, options.peer, options.peer_px, Path(folder))
    if theirs is None:
        print(f"ome-zarr-py  skipped: {options.peer} cannot import it; name one that can: --peer PYTHON")
        return
    tell("ome-zarr-py", theirs)
    rates = [each["megapixels"] / each["wall_s"] for each in (ours, theirs)]
    a_cpu_second = [each["megapixels"] / (each["user_s"] + each["sys_s"]) for each in (ours, theirs)]
    ratio = rates[0] / rates[1]
    print(
        f"{ratio:.1f} x by wall ({'above' if ratio >= BAR else 'BELOW'} the bar of {BAR:g}), "
        f"{a_cpu_second[0] / a_cpu_second[1]:.1f} x by CPU"
    )


if __name__ == "__main__":
    main()
