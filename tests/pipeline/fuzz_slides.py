"""Reads mutants of slides as a run does: open, find tissue, read a core. In a process that can be lost."""

from __future__ import annotations

import random
import resource
import signal
from functools import cache
from pathlib import Path

import numpy as np
import tifffile

from pipeline.errors import SlideError
from pipeline.geometry import Box
from pipeline.slide import open_slide
from pipeline.synthetic import write_synthetic_slide
from pipeline.tissue import find_tissue
from tests.mutations import mutate_bytes

LONGEST_S = 10.0
BUDGET_BYTES = 2**30
"""Address space that a process may take beyond what it has when it begins."""


def write_seeds(folder: Path) -> None:
    """Small slides of several layouts, to be mutated."""
    write_synthetic_slide(folder / "aperio.svs", 300, 400, 0.499, level_downsamples=(1, 4))
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    layouts: dict[str, dict[str, object]] = {
        "jpeg.tif": {"tile": (64, 64), "compression": "jpeg"},
        "lzw.tif": {"tile": (64, 64), "compression": "lzw", "predictor": True},
        "zstd.tif": {"tile": (64, 64), "compression": "zstd"},
        "webp.tif": {"tile": (64, 64), "compression": "webp"},
        "jp2.tif": {"tile": (64, 64), "compression": "jpeg2000"},
        "strips.tif": {"compression": "deflate"},
        "big.tif": {"tile": (64, 64), "bigtiff": True},
    }
    for name, layout in layouts.items():
        big = layout.pop("bigtiff", False)
        with tifffile.TiffWriter(folder / name, bigtiff=bool(big)) as file:
            resolution = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
            file.write(noise, photometric="rgb", **resolution, **layout)
    tifffile.imwrite(folder / "stack.ome.tif", noise, ome=True, tile=(64, 64), metadata={"PhysicalSizeX": 0.5})


@cache
def _seeds(folder: Path) -> tuple[tuple[str, bytes], ...]:
    return tuple((path.name, path.read_bytes()) for path in sorted(folder.iterdir()))


def read_mutants(seeds: str, folder: str, first: int, count: int, limited: bool = True) -> None:
    """Read mutants `first` ... of the slides in `seeds`; `folder`/now names the one that is being read.

    Raises whatever is no `SlideError`; ends with SIGPROF where one takes too long, with MemoryError where it asks for
    more than the budget.
    """
    if limited:
        used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used_bytes + BUDGET_BYTES, used_bytes + BUDGET_BYTES))
    for number in range(first, first + count):
        rng = random.Random(number)
        name, content = rng.choice(_seeds(Path(seeds)))
        path = Path(folder) / f"mutant{Path(name).suffix}"
        path.write_bytes(mutate_bytes(content, rng))
        (Path(folder) / "now").write_text(f"{number} of {name}")
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        _read(path)
    signal.setitimer(signal.ITIMER_PROF, 0)


def _read(path: Path) -> None:
    try:
        with open_slide(path, mpp=0.5) as slide:
            find_tissue(slide)
            for level in slide.info.usable_levels:
                slide.level(level).read(Box(0, 0, 512, 512))
    except SlideError as error:
        if any(isinstance(cause, MemoryError) for cause in _causes(error)) or "Unable to allocate" in str(error):
            raise MemoryError from error


def _causes(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_causes(error.__cause__ or error.__context__)]
