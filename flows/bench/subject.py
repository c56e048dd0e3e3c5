"""What all benchmarks share: how much is asked for, a folder for what they write, and the slides that they work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pipeline.config import Precision
    from pipeline.geometry import Box, Frame
    from pipeline.tissue import TissueMask

_T = TypeVar("_T")

_NUCLEI_PER_MM2 = 5000
"""Close to each other, as in a tumour."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is worked on; a quick look makes do with little."""

    boxes_px: tuple[int, ...]
    """Sides of the boxes that are read."""
    megapixels_read: float
    """At least, in one repetition."""
    slide_px: int
    """Side of the synthetic slide that is read."""
    run_px: int
    """Side of the synthetic slide that is run."""
    store_px: int
    core_px: int
    dense_cpu_px: dict[str, int]
    """Task to side of a tile that a network works on."""
    dense_cuda_px: dict[str, int]
    nuclei_px: int
    nuclei_rows: int
    """At least, in the table of nuclei that is written: those found, again and again."""
    heatmap_px: int
    mask_px: int
    """Side of the largest tissue mask."""
    product_cpu: int
    """Side of the matrices that are multiplied."""
    product_cuda: int


WHOLE = Sizes(
    boxes_px=(512, 1024, 2048, 4096), megapixels_read=16, slide_px=4096, run_px=1024, store_px=4096, core_px=1024,
    dense_cpu_px={"superresolution": 256, "nuclei": 512}, dense_cuda_px={"superresolution": 512, "nuclei": 1024},
    nuclei_px=1024, nuclei_rows=20_000, heatmap_px=2048, mask_px=3742, product_cpu=2048, product_cuda=8192,
)  # fmt: skip
QUICK = Sizes(
    boxes_px=(512, 1024), megapixels_read=2, slide_px=1024, run_px=512, store_px=1024, core_px=512,
    dense_cpu_px={"superresolution": 64, "nuclei": 256}, dense_cuda_px={"superresolution": 256, "nuclei": 512},
    nuclei_px=512, nuclei_rows=5_000, heatmap_px=512, mask_px=1024, product_cpu=1024, product_cuda=4096,
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What is measured, and how often."""

    scratch: Path
    """A folder that goes when the bench is through."""
    slide: Path | None = None
    """The user's own; synthetic ones where there is none."""
    repeat: int = 3
    sizes: Sizes = WHOLE
    precision: Precision = "auto"
    """Of the networks of a whole run; by themselves they are measured in each."""

    @cached_property
    def read_slide(self) -> Path:
        """The slide that pixels are read from."""
        return self.slide or self._synthetic("read", self.sizes.slide_px, 0.25)

    @cached_property
    def run_slide(self) -> Path:
        """The slide that is run from file to report: half as fine as nuclei want it, so that every network works."""
        return self.slide or self._synthetic("run", self.sizes.run_px, 0.5)

    @cached_property
    def tissue(self) -> TissueMask:
        """Of the slide that is read."""
        from pipeline.slide import open_slide
        from pipeline.tissue import find_tissue

        with open_slide(self.read_slide) as slide:
            return find_tissue(slide)

    def boxes(self, frame: Frame, side_px: int, count: int) -> list[Box]:
        """Whole boxes of a frame of the slide, those with the most tissue first; fewer where there are not so many."""
        whole = (box for box in frame.partition(side_px) if box.shape == (side_px, side_px))
        ranked = sorted(whole, key=lambda box: -self.tissue.share(box, frame))
        return list(islice(ranked, count))

    @cached_property
    def threads(self) -> tuple[int, ...]:
        """1, 2, 4 ... and as many as there are cores."""
        from pipeline.schedule import count_cores

        cores = count_cores()
        return (*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores)

    def _synthetic(self, name: str, side_px: int, mpp: float) -> Path:
        from pipeline.synthetic import write_synthetic_slide

        path = self.scratch / f"{name}.tiff"
        write_synthetic_slide(path, side_px, side_px, mpp, tissue_share=0.8, nuclei_per_mm2=_NUCLEI_PER_MM2)
        return path


@contextmanager
def subject(slide: Path | None, repeat: int, *, quick: bool, precision: Precision = "auto") -> Iterator[Subject]:
    """A subject with a folder of its own in the system's temporary one. Raises where the slide cannot be read."""
    if slide is not None:
        from pipeline.slide import open_slide

        open_slide(slide).close()
    with TemporaryDirectory(prefix="histoloom-bench-") as scratch:
        yield Subject(Path(scratch), slide, repeat, QUICK if quick else WHOLE, precision)


def at_once(work: Callable[[_T], object], parts: Sequence[_T], threads: int) -> None:
    """Do parts of some work on so many threads; raises what any of them raises."""
    if threads == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def counted(threads: int) -> str:
    """So many threads, in words."""
    return f"{threads} thread{'s' if threads > 1 else ''}"
