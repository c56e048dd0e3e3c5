"""The store: writing and reading a sharded image of the slide's own pixels, and making its pyramid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from flows.bench.measurement import Measurement, Trial, rates, seconds_of
from flows.bench.subject import Subject, at_once, counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.geometry import Box
    from pipeline.ngff import Pyramid
    from pipeline.workspace import Workspace

_GROUP = "store"


def trials(subject: Subject) -> Iterator[Trial]:
    """Write, read and halve, by threads."""
    stored = _Stored(subject)
    for what in ("write", "read", "pyramid"):
        for threads in subject.threads:
            name = f"{what}, {subject.sizes.core_px:,} px cores, {counted(threads)}"
            yield Trial(_GROUP, (name,), partial(_measure, stored, what, threads, name))


def _measure(stored: _Stored, what: str, threads: int, name: str) -> list[Measurement]:
    work = {"write": stored.write, "read": stored.read, "pyramid": stored.halve}[what]
    cores = stored.coarser_cores if what == "pyramid" else stored.cores
    parts = [cores[number::threads] for number in range(threads)]
    took = seconds_of(lambda: at_once(work, parts, threads), stored.subject.repeat)
    note = {
        "write": "write: until it survives a power cut",
        "read": "",
        "pyramid": "pyramid: pixels of the finer level",
    }
    megapixels = stored.side_px**2 / 1e6
    return [Measurement(_GROUP, name, "megapixels/s", "higher", rates(megapixels, took), note[what])]


class _Stored:
    """An image in a store; written the first time that anybody wants to read it."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.side_px = subject.sizes.store_px

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """(y, x, 3) of the part of the slide with the most tissue, again and again where the slide is smaller."""
        import numpy as np

        from pipeline.slide import open_slide

        with open_slide(self.subject.read_slide) as slide:
            level = slide.level(0)
            (box,) = self.subject.boxes(level.frame, min(self.side_px, *level.frame.shape), 1)
            found = level.read(box)
        times = -(-self.side_px // box.width)
        return np.tile(found, (times, times, 1))[: self.side_px, : self.side_px]

    @cached_property
    def pyramid(self) -> Pyramid:
        """Frames of the levels."""
        from pipeline.geometry import Frame
        from pipeline.ngff import Pyramid

        return Pyramid.over(Frame(self.side_px, self.side_px, 0.25))

    @cached_property
    def workspace(self) -> Workspace:
        """The store, with empty layers."""
        from pipeline.workspace import SlideRef, Workspace

        folder = self.subject.scratch / "store"
        folder.mkdir()
        workspace = Workspace(folder, "bench", SlideRef(self.subject.read_slide, None, "auto", 0.25))
        workspace.store.create_image("", "bench", self.pyramid, self.subject.sizes.core_px)
        return workspace

    @cached_property
    def written(self) -> Workspace:
        """The store, with pixels."""
        self.write(self.cores)
        return self.workspace

    @cached_property
    def cores(self) -> list[Box]:
        """Of the finest level."""
        return list(self.pyramid.levels[0].partition(self.subject.sizes.core_px))

    @cached_property
    def coarser_cores(self) -> list[Any]:
        """Tiles of the second level."""
        from pipeline.grid import TileGrid

        return list(TileGrid(self.pyramid.levels[1], self.subject.sizes.core_px))

    def write(self, cores: Sequence[Box]) -> None:
        """As a batch of tiles is written: synced together at its end."""
        from pipeline.durable import synced_together

        layer = self.workspace.store.layer("0")
        with synced_together():
            for core in cores:
                layer.write(core, self.pixels[core.slices()])

    def read(self, cores: Sequence[Box]) -> None:
        """Core by core."""
        layer = self.written.store.layer("0")
        for core in cores:
            layer.read(core)

    def halve(self, tiles: Sequence[Any]) -> None:
        """Make the second level out of the first."""
        from pipeline.durable import synced_together
        from pipeline.pyramid import Halve

        stage = Halve("", 1, self.pyramid.levels[1], self.subject.sizes.core_px, "mean", None)
        with synced_together():
            stage.run(tiles, self.written)
