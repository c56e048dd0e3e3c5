"""Reading a slide, by reader, size of box and threads; and the limit that decoding alone sets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.bench.measurement import Measurement, Trial, rates, seconds_of
from flows.bench.subject import Subject, at_once, counted

if TYPE_CHECKING:
    from pipeline.config import ReaderName
    from pipeline.geometry import Box

_GROUP = "reading"
_READERS: tuple[ReaderName, ...] = ("tiffslide", "openslide")


def trials(subject: Subject) -> Iterator[Trial]:
    """One a reader that opens the slide, size of box and number of threads; then decoding without a reader."""
    from pipeline.errors import HistoloomError
    from pipeline.slide import open_slide

    for reader in _READERS:
        sides: list[int] = []
        with suppress(HistoloomError), open_slide(subject.read_slide, reader=reader) as slide:
            if slide.info.reader == reader:
                sides = [side for side in subject.sizes.boxes_px if side <= min(slide.info.frame.shape)]
        for side in sides:
            for threads in subject.threads:
                name = f"{reader}, {side:,} px, {counted(threads)}"
                yield Trial(_GROUP, (name,), partial(_read, subject, reader, side, threads, name))
    yield from _decoding(subject)


def _read(subject: Subject, reader: ReaderName, side: int, threads: int, name: str) -> list[Measurement]:
    from pipeline.slide import open_slide

    count = max(threads, math.ceil(subject.sizes.megapixels_read * 1e6 / side**2))
    with open_slide(subject.read_slide, reader=reader) as slide:
        level = slide.level(0)
        # A small slide has fewer boxes than that; they come again.
        boxes = list(islice(cycle(subject.boxes(level.frame, side, count)), count))

        def read(box: Box) -> object:
            return level.read(box)

        took = seconds_of(lambda: at_once(read, boxes, threads), subject.repeat)
    return [Measurement(_GROUP, name, "megapixels/s", "higher", rates(count * side**2 / 1e6, took))]


def _decoding(subject: Subject) -> Iterator[Trial]:
    """Of a tiled TIFF: its tiles from memory to arrays, by the library that the reader uses, and nothing else."""
    if not _is_tiled_tiff(subject.read_slide):
        return
    for threads in subject.threads:
        name = f"decoding limit, {counted(threads)}"
        yield Trial(_GROUP, (name,), partial(_decode, subject, threads, name))


@cache
def _is_tiled_tiff(path: Path) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return bool(tiff.pages.first.is_tiled)
    except (OSError, ValueError, tifffile.TiffFileError):
        return False


def _decode(subject: Subject, threads: int, name: str) -> list[Measurement]:
    import tifffile

    with tifffile.TiffFile(subject.read_slide) as tiff:
        page: Any = tiff.pages.first
        tiles = _encoded(subject, page)
        tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
        decode = page.decode

    def one(tile: tuple[int, bytes]) -> object:
        number, data = tile
        return decode(data, number, **tables)

    took = seconds_of(lambda: at_once(one, tiles, threads), subject.repeat)
    megapixels = len(tiles) * page.tilelength * page.tilewidth / 1e6
    note = f"decoding limit: tiles of {page.tilewidth} x {page.tilelength} px, {page.compression.name}, from memory"
    return [Measurement(_GROUP, name, "megapixels/s", "higher", rates(megapixels, took), note)]


def _encoded(subject: Subject, page: Any) -> list[tuple[int, bytes]]:
    """Number and bytes of the tiles that hold the most bytes: tissue, where a blank tile holds few."""
    count = math.ceil(subject.sizes.megapixels_read * 1e6 / (page.tilelength * page.tilewidth))
    largest = sorted(range(len(page.databytecounts)), key=lambda number: -page.databytecounts[number])[:count]
    file = os.open(subject.read_slide, os.O_RDONLY)
    try:
        return [(one, os.pread(file, page.databytecounts[one], page.dataoffsets[one])) for one in largest]
    finally:
        os.close(file)
