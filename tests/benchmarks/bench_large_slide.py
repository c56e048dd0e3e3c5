"""Peak memory of a run over large slides: `python -m tests.benchmarks.bench_large_slide [--sides-px 50000 100000]`.

A quarter of each slide is tissue, in squares of 8,192 px, as full of nuclei as tissue is. The stages are those of a
run, from the TIFF to the pages, each slide in a process of its own; the networks are rules, so that what is measured is
not theirs. The bar: under 3 GiB, and flat from a quarter of the size to the whole.
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

import numpy as np
from numpy.typing import NDArray

import flows.slide
from flows.progress import Quiet
from pipeline.geometry import Box, Frame
from pipeline.preview import write_preview
from pipeline.pyramidal_tiff import write_pyramidal_tiff
from pipeline.recipe import Recipe
from pipeline.report import write_slide_report
from pipeline.schedule import Workers, Workforce
from pipeline.slide import open_slide
from pipeline.stage import Network
from pipeline.synthetic import write_synthetic_slide
from pipeline.tissue import TissueMask, find_tissue
from pipeline.workspace import SlideRef, Workspace
from tests.stand_ins import VIOLET_CLASSES, Crowding, Violet

BAR_MIB = 3072.0
MPP = 0.25
_SQUARE_PX = 8192
_PATTERN_PX = 1024
_INSIDE = Box(2600, 500, _PATTERN_PX, _PATTERN_PX)
"""Tissue alone, on a synthetic slide of 4,096 x 4,096 px."""


def pattern(folder: Path) -> NDArray[np.uint8]:
    """(1024, 1024, 3) pixels of the inside of a synthetic slide's tissue, full of nuclei."""
    path, side = folder / "pattern.svs", 4 * _PATTERN_PX
    write_synthetic_slide(path, side, side, MPP, level_downsamples=(1, 4))
    with open_slide(path) as slide:
        return slide.level(0).read(_INSIDE)


def write_large_slide(path: Path, side_px: int, tissue: NDArray[np.uint8]) -> None:
    """A slide of side_px x side_px px whose squares are white, or every fourth of them tissue."""

    def render(box: Box) -> NDArray[np.uint8]:
        rows, columns = np.arange(box.y, box.y_end), np.arange(box.x, box.x_end)
        pixels = tissue[rows[:, None] % _PATTERN_PX, columns % _PATTERN_PX]
        inside = (rows[:, None] // _SQUARE_PX % 2 == 1) & (columns // _SQUARE_PX % 2 == 1)
        return np.where(inside[..., None], pixels, np.uint8(245))

    write_pyramidal_tiff(path, Frame(side_px, side_px, MPP), render)


def weave(slide: Path, folder: Path) -> dict[str, float]:
    """Run all stages over a slide; seconds, and the most memory that this process held."""
    begin = time.perf_counter()
    with open_slide(slide) as opened:
        frame, tissue = opened.info.frame, find_tissue(opened)
    workspace = Workspace(folder, "large", SlideRef(slide, None, "auto", frame.mpp))
    tissue.save(workspace.tissue_path)
    recipe = Recipe(
        "large", frame, frame, 1024,
        nuclei=Network("violet", Violet(), frame.mpp, halo_px=96, classes=VIOLET_CLASSES),
        classifiers=(Network("crowding", Crowding(), 4.0, field_px=50, classes=("few", "many")),),
    )  # fmt: skip
    with Workers(Workforce(processes=1)) as workers:
        runner = flows.slide.StageRunner(workspace, workers, Quiet())
        findings = flows.slide._weave(recipe, runner)
    assert recipe.draw
    run = {"name": "large", **findings, "layers": {"nuclei": recipe.draw.group}}
    write_preview(folder, run)
    write_slide_report(folder, run)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"side_px": frame.width, "tissue_megapixels": _megapixels(tissue), "nuclei": findings["counts"]["nuclei"],
            "seconds": time.perf_counter() - begin, "peak_mib": peak_mib}  # fmt: skip


def _megapixels(tissue: TissueMask) -> float:
    return tissue.area_um2 / MPP**2 / 1e6


def main() -> None:
    """Run each size in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides-px", type=int, nargs="+", default=[50_000, 100_000])
    parser.add_argument("--one", type=Path, help="Weave this slide, in this process.")
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory(dir=given.one.parent) as folder:
            print(json.dumps({key: round(value, 1) for key, value in weave(given.one, Path(folder)).items()}))
        return
    peaks = []
    for side_px in given.sides_px:
        with tempfile.TemporaryDirectory() as name:
            slide = Path(name) / "large.svs"
            write_large_slide(slide, side_px, pattern(Path(name)))
            command = [sys.executable, "-m", "tests.benchmarks.bench_large_slide", "--one", str(slide)]
            row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(json.dumps(row), flush=True)
        peaks.append(row["peak_mib"])
    verdict = "within" if max(peaks) <= BAR_MIB else "over"
    print(f"{', '.join(f'{peak:,.0f}' for peak in peaks)} MiB: {verdict} the bar of {BAR_MIB:,.0f} MiB")


if __name__ == "__main__":
    main()
