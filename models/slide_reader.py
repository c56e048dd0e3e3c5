"""What training asks of a slide, and the least that answers it: a TIFF, flat or pyramidal, read region by region.

`histoloom train` hands in a reader of any format that the pipeline opens; this one lets networks be trained without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from models.errors import TrainingError

SATURATED = 20
"""Difference of the largest and the smallest of R, G, B from which a px counts as coloured."""
_CURE = "Convert it to a tiled RGB TIFF of 8 bits; `histoloom train` opens the scanners' own formats."


@dataclass(frozen=True, slots=True)
class Region:
    """A half-open rectangle of px in one level of a slide."""

    y: int
    x: int
    height: int
    width: int


class SlideReader(Protocol):
    """A slide's levels, their own pixels; may be read from several threads at once."""

    @property
    def name(self) -> str:
        """What the slide is called; its patient is looked for here."""
        ...

    @property
    def mpp(self) -> float | None:
        """How many um a level-0 px spans; None where nobody knows."""
        ...

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of every level, the finest first."""
        ...

    @property
    def downsamples(self) -> tuple[float, ...]:
        """Level-0 px along one px of every level; 1 for the first."""
        ...

    def read(self, level: int, region: Region) -> NDArray[np.uint8]:
        """Return the (y, x, 3) RGB pixels of a region inside a level; raises TrainingError if they do not decode."""
        ...

    def tissue_share(self, level: int, region: Region) -> float:
        """Return the share of a region that is tissue."""
        ...


OpenSlide = Callable[[Path, float | None], SlideReader]
"""From a file, and the um per level-0 px where it is given, to an open slide; raises TrainingError."""


class TiffSlide:
    """A TIFF of 8-bit RGB: its largest picture and the smaller copies of it, tiled or in strips.

    Tissue is what is coloured. The um per px are what the caller says: this reader trusts no tag.
    """

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        self._path = path
        self.name = path.stem
        self.mpp = mpp
        try:
            self._tiff = tifffile.TiffFile(path)
            self._pages = _levels(self._tiff)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise TrainingError.about(path, f"not a slide that can be read ({error})", _CURE) from error
        self.shapes: tuple[tuple[int, int], ...] = tuple(page.shape[:2] for page in self._pages)
        self.downsamples = tuple(_downsample(self.shapes[0], shape) for shape in self.shapes)
        self._lock = threading.Lock()

    def read(self, level: int, region: Region) -> NDArray[np.uint8]:
        """Return the (y, x, 3) pixels of a region inside a level; tiles that the file leaves out are white."""
        pixels = np.full((region.height, region.width, 3), 255, np.uint8)
        for segment, y, x in self._segments(level, region):
            rows = slice(max(y, region.y), min(y + segment.shape[0], region.y + region.height))
            columns = slice(max(x, region.x), min(x + segment.shape[1], region.x + region.width))
            if rows.start < rows.stop and columns.start < columns.stop:
                part = segment[_from(rows, y), _from(columns, x)]
                pixels[_from(rows, region.y), _from(columns, region.x)] = part
        return pixels

    def _segments(self, level: int, region: Region) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
        """Give the decoded tiles or strips that a region touches, each with its place (y, x) in the level."""
        page = self._pages[level]
        tall, wide = page.chunks[:2]
        columns = -(-page.shape[1] // wide)
        for row in range(region.y // tall, -(-(region.y + region.height) // tall)):
            for column in range(region.x // wide, -(-(region.x + region.width) // wide)):
                index = row * columns + column
                if page.databytecounts[index]:
                    yield self._decode(page, index), row * tall, column * wide

    def _decode(self, page: Any, index: int) -> NDArray[np.uint8]:
        with self._lock:
            self._tiff.filehandle.seek(page.dataoffsets[index])
            data = self._tiff.filehandle.read(page.databytecounts[index])
        try:
            decoded: NDArray[np.uint8] = page.decode(data, index, jpegtables=page.jpegtables)[0][0]
        except Exception as error:  # every codec has errors of its own
            raise TrainingError.about(self._path, f"its pixels cannot be decoded ({error})", _CURE) from error
        return decoded

    def tissue_share(self, level: int, region: Region) -> float:
        """Return the share of coloured px, at the coarsest level that shows the region with 32 px a side."""
        scales = [self.downsamples[level] / one for one in self.downsamples]
        coarse = max(
            index
            for index, scale in enumerate(scales)
            if index <= level or min(region.height, region.width) * scale >= 32
        )
        scale = scales[coarse]
        height, width = self.shapes[coarse]
        y, x = min(int(region.y * scale), height - 1), min(int(region.x * scale), width - 1)
        sides = max(round(region.height * scale), 1), max(round(region.width * scale), 1)
        pixels = self.read(coarse, Region(y, x, min(sides[0], height - y), min(sides[1], width - x)))
        return float((np.ptp(pixels.astype(np.int16), axis=2) > SATURATED).mean())


def open_tiff(path: Path, mpp: float | None) -> SlideReader:
    """Open a TIFF as a slide. Raises TrainingError."""
    return TiffSlide(path, mpp)


def _from(part: slice, origin: int) -> slice:
    return slice(part.start - origin, part.stop - origin)


def _levels(tiff: tifffile.TiffFile) -> list[Any]:
    """Return the pages of the largest picture and of its smaller copies, finest first. Raises ValueError.

    Copies have its proportions within 1 % or 1 px, and are tiled if it is, which Aperio's thumbnail is not.
    """
    pages = [level.keyframe for series in tiff.series for level in series.levels]
    pages = sorted((page for page in pages if page.ndim == 3), key=lambda page: -page.shape[0] * page.shape[1])
    if not pages or pages[0].shape[2] != 3 or pages[0].dtype != np.uint8:
        msg = "no picture of 8-bit RGB in it"
        raise ValueError(msg)
    first = pages[0]

    def is_copy(page: Any) -> bool:
        reduced_width = first.shape[1] * page.shape[0] / first.shape[0]
        alike = page.shape[2] == 3 and page.dtype == np.uint8 and page.is_tiled == first.is_tiled
        proportioned = abs(page.shape[1] - reduced_width) <= max(1, 0.01 * reduced_width)
        return bool(alike and proportioned and page.shape[0] * 1.5 <= first.shape[0])

    return [first, *(page for page in pages[1:] if is_copy(page))]


def _downsample(full: tuple[int, int], level: tuple[int, int]) -> float:
    """Return the whole number whose quotient, rounded down or up, is the level's shape; else the mean of the ratios.

    3,622 of 14,486 px is a quarter whose last column is not full, not 3.9994.
    """
    ratios = [one / other for one, other in zip(full, level, strict=True)]
    whole = round(sum(ratios) / 2)
    fits = all(other in {one // whole, -(-one // whole)} for one, other in zip(full, level, strict=True))
    return float(whole) if fits else sum(ratios) / 2
