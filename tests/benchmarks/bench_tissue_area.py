"""What twice the tissue costs: `python -m tests.benchmarks.bench_tissue_area SLIDE [--passes 2]`.

The same slide is run with all of its tissue and with every other band of it, by masks that are given; commands take
turns. The bar: 2.0 times the time for twice the tiles, and the same memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.slide import open_slide
from pipeline.tissue import find_tissue

_BAND_UM = 512.0
_RUN = (sys.executable, "-c", "from flows.cli import main; main()", "run")


def write_masks(slide: Path, folder: Path) -> dict[str, Path]:
    """Pictures of every other band of the tissue, and of all of it."""
    with open_slide(slide) as opened:
        tissue = find_tissue(opened)
    bands = np.arange(tissue.frame.height) // round(_BAND_UM / tissue.frame.mpp) % 2 == 0
    masks = {"every other band": tissue.mask & bands[:, np.newaxis], "all tissue": tissue.mask}
    for name, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in masks}


def run(slide: Path, mask: Path, out: Path) -> dict[str, float]:
    """Wall seconds of the command, its nuclei stage's tiles and seconds, and the most memory that it held."""
    start = time.perf_counter()
    subprocess.run([*_RUN, str(slide), "--tissue", str(mask), "--out", str(out)], check=True, capture_output=True)
    wall_s = time.perf_counter() - start
    (facts,) = (json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/run.json"))
    nuclei = next(stage for stage in facts["timings"]["stages"] if stage["name"] == "nuclei")
    mib = facts["peak_rss_bytes"] / 2**20
    return {"wall_s": wall_s, "tiles": nuclei["tiles"], "nuclei_s": nuclei["seconds"], "peak_mib": mib}


def main() -> None:
    """Print every run, and the ratio of the last two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--passes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masks = write_masks(given.slide, folder)
        for number in range(given.passes):
            taken = {area: run(given.slide, mask, folder / f"{area}-{number}") for area, mask in masks.items()}
            for area, figures in taken.items():
                print(f"{area:18}", "  ".join(f"{key} {value:.1f}" for key, value in figures.items()), flush=True)
    half, whole = taken.values()
    print("ratios            ", "  ".join(f"{key} {whole[key] / half[key]:.2f} x" for key in whole))


if __name__ == "__main__":
    main()
