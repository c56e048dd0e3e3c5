"""Which file lies where while one slide is being worked on, and what a worker process opens of it, once.

A `Workspace` is a small value that travels with every batch; slide handles, stores, masks and networks never do. Each
worker process opens what the value names when it first needs it, and keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.fence import writing
from pipeline.ledger import Ledger
from pipeline.ngff import NgffVersion
from pipeline.slide import PixelSource, Slide, base_source, open_slide
from pipeline.stopwatch import spending
from pipeline.store import SlideStore
from pipeline.tissue import TissueMask

Predictor = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""(n, y, x, 3) uint8 RGB in; what comes out depends on the network's task."""

Loader = Callable[[], Predictor]
"""Loads a predictor in the process that calls it: a value that can be pickled, compared and hashed."""


def file_stamp(path: Path) -> tuple[int, int]:
    """Size, and time of the last change in ns, of a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True, slots=True)
class SlideRef:
    """How to open a slide again, in any process, and at which resolution it is read."""

    path: Path
    mpp: float | None
    reader: Literal["auto", "openslide", "tiffslide"]
    base_mpp: float
    stamp: tuple[int, int] = (0, 0)
    """The file's size and time (`file_stamp`): a process that lives on must not read a new file by the old handle."""

    def open(self) -> Slide:
        """A new handle."""
        return open_slide(self.path, mpp=self.mpp, reader=self.reader)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that one slide's results grow in, before they are whole and get their final name."""

    folder: Path
    name: str
    slide: SlideRef
    ngff: NgffVersion = "0.5"
    plan: str = ""
    """What the folder's fence says that it was begun with; empty for a folder without one."""
    mask: str = "tissue.npz"
    """The file of the mask that decides what is worked on."""

    @property
    def store(self) -> SlideStore:
        """The slide's OME-Zarr store."""
        return SlideStore(self.folder / f"{self.name}.ome.zarr", self.ngff)

    @property
    def tissue_path(self) -> Path:
        """The mask that all workers share; part of no result."""
        return self.folder / self.mask

    @property
    def flags_path(self) -> Path:
        """What quality control flagged, a value a cell; drawn into the store, itself part of no result."""
        return self.folder / "flags.npz"

    def restricted(self, mask: TissueMask, file: str) -> Workspace:
        """The same folder, with another mask deciding what is worked on; it is written there."""
        other = replace(self, mask=file)
        mask.save(other.tissue_path)
        return other

    @property
    def nuclei_path(self) -> Path:
        """The table of nuclei."""
        return self.folder / "nuclei.parquet"

    @property
    def patches_path(self) -> Path:
        """The table of classified patches."""
        return self.folder / "patches.parquet"

    @property
    def tissue(self) -> TissueMask:
        """What is worked on: where the slide holds tissue, less what quality control took out of it."""
        return _tissue(self.tissue_path, self.tissue_path.stat().st_mtime_ns)

    @property
    def base(self) -> PixelSource:
        """The slide's pixels at the resolution that it is read at."""
        return _base(self.slide)

    def writing(self) -> AbstractContextManager[None]:
        """Hold the folder's fence; whoever writes for another plan is refused."""
        return writing(self.folder, self.plan) if self.plan else nullcontext()

    def ledger(self, stage: str) -> Ledger:
        """The committed batches of a stage."""
        return Ledger(self.folder / "ledger" / stage)


@lru_cache(maxsize=4)
def _tissue(path: Path, modified_ns: int) -> TissueMask:
    return TissueMask.load(path)


@lru_cache(maxsize=2)
def _base(slide: SlideRef) -> PixelSource:
    return base_source(slide.open(), slide.base_mpp)


def predictor(loader: Loader) -> Predictor:
    """The predictor that `loader` loads, kept for as long as the process lives; threads that want it load it once."""
    with _loading:
        return _predictor(loader)


_loading = Lock()


@lru_cache(maxsize=8)
def _predictor(loader: Loader) -> Predictor:
    answer = loader()

    @spending("device")
    def ask(tiles: NDArray[np.uint8]) -> NDArray[Any]:
        return answer(tiles)

    return ask
