"""A slide: a file that opens, with a frame whose um per pixel is known, and the pixels of its levels.

with open_slide(Path("a.svs")) as slide:
    source = base_source(slide, mpp=0.5)
    pixels = source.read(Box(0, 0, 512, 512))
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import HistoloomError, ImplausibleResolution, MissingResolution, UnreadableSlide
from pipeline.geometry import Box, Frame
from pipeline.readers import OpenSlideReader, PictureReader, Reader, ReaderLevel, StatedResolution, openslide_vendor
from pipeline.resample import Resampled
from pipeline.resolution import PLAUSIBLE_MPP, fits
from pipeline.sparse_slide import is_sparse
from pipeline.stopwatch import spending
from pipeline.tiff_reader import TiffReader

_SEVERAL_FILES = {".mrxs", ".vms", ".vmu", ".dcm"}
"""Slides whose pixels lie in other files beside the one that is opened."""

_MAX_ANISOTROPY = 0.1
_LONGEST_NAME_BYTES = 200
_COHORT_FILES = {"cohort.parquet", "report.html"}
"""What lies beside the slides' folders."""

# The largest scanners' slides are a tenth of this; and a file of blank tiles has some thousand pixels a byte.
_MOST_PX = 1_000_000_000_000
_MOST_PX_A_BYTE = 100_000
# A side: 375 mm at 0.25 um/px, longer than any glass.
_LONGEST_PX = 1_500_000
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ReaderKind = type[OpenSlideReader] | type[TiffReader] | type[PictureReader]
_CONVERT = "Check that the file is whole; other formats convert with bioformats2raw + raw2ometiff, QuPath or vips."


class PixelSource(Protocol):
    """Anything that gives pixels in a frame: a level of a slide, a resampled slide, a layer of the store."""

    @property
    def frame(self) -> Frame:
        """The frame that boxes are in."""
        ...

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Return (y, x, 3) RGB; white outside the frame."""
        ...


@dataclass(frozen=True)
class SlideInfo:
    """What is known about a slide once it is open; small, and safe to send anywhere."""

    path: Path
    name: str
    """Safe as a folder name."""
    frame: Frame
    """Level 0."""
    levels: tuple[Frame, ...]
    usable_levels: tuple[int, ...]
    """The levels whose own pixels the reader can give."""
    mpp_source: str
    reader: str
    vendor: str
    objective_power: float | None
    bytes: int
    """Size of the file."""


@dataclass(frozen=True)
class LevelSource:
    """One level of a slide, its own pixels."""

    path: Path
    frame: Frame
    reader: Reader
    index: int

    @spending("reading")
    def read(self, box: Box) -> NDArray[np.uint8]:
        """Return (y, x, 3) RGB; white outside the frame. Raises UnreadableSlide where pixels cannot be decoded."""
        inside = self.frame.box.clip(box)
        if inside == box and box.area_px:
            return self._read(box)
        pixels = np.full((*box.shape, 3), 255, np.uint8)
        if inside.area_px:
            pixels[inside.relative_to(box).slices()] = self._read(inside)
        return pixels

    def _read(self, box: Box) -> NDArray[np.uint8]:
        try:
            return self.reader.read(self.index, box)
        except HistoloomError:  # a slide that is read from an object store, which gave way
            raise
        except Exception as error:
            what = f"{self.path}: its pixels cannot be decoded on level {self.index} at {box}: {_one_line(error)}"
            raise UnreadableSlide(what, "The file is damaged or cut short; copy or export it again.") from error


class Slide:
    """An open slide; a context manager. May be read from several threads at once."""

    def __init__(self, info: SlideInfo, reader: Reader) -> None:
        self.info = info
        self._reader = reader

    def level(self, index: int) -> LevelSource:
        """Return the pixels of one level, level 0 being the finest."""
        if index not in self.info.usable_levels:
            usable = self.info.usable_levels
            msg = f"{self.info.path.name}: of its levels, {self.info.reader} gives the own pixels of {usable} only"
            raise ValueError(msg)
        return LevelSource(self.info.path, self.info.levels[index], self._reader, index)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def slide_name(path: Path | str) -> str:
    """Return what a slide is called: the file's name without its ending, made safe as the name of a folder."""
    name = Path(path).name
    lower = name.lower()
    for ending in (".ome.tif", ".ome.tiff"):
        if lower.endswith(ending):
            name = name[: -len(ending)]
            break
    else:
        name = Path(name).stem
    safe = "".join("_" if char in '<>:"/\\|?*' or unicodedata.category(char).startswith("C") else char for char in name)
    safe = safe.strip(" .") or "slide"
    return f"{safe}_" if safe in _COHORT_FILES else _shortened(safe)


def _shortened(name: str) -> str:
    """A name that still fits a file system with what is put before and after it; longer ones end in a hash."""
    if len(name.encode()) <= _LONGEST_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: _LONGEST_NAME_BYTES - 9].decode(errors='ignore').rstrip(' .')}~{digest}"


def open_slide(
    path: Path, mpp: float | None = None, reader: Literal["auto", "openslide", "tiffslide"] = "auto"
) -> Slide:
    """Open a slide or a plain picture; `mpp`, um per level-0 pixel, goes before what the file says.

    Raises UnreadableSlide, MissingResolution or ImplausibleResolution.
    """
    path = Path(path)
    opened = _open_reader(path, reader)
    try:
        _refuse_claims(path, opened.levels)
        level0_mpp, mpp_source = _settle_mpp(path, mpp, opened.stated, opened.objective_power)
        frames = _level_frames(opened.levels, level0_mpp)
        info = SlideInfo(
            path=path,
            name=slide_name(path),
            frame=frames[0],
            levels=frames,
            usable_levels=tuple(index for index, level in enumerate(opened.levels) if level.usable),
            mpp_source=mpp_source,
            reader=opened.name,
            vendor=opened.vendor,
            objective_power=opened.objective_power,
            bytes=path.stat().st_size,
        )
    except BaseException:
        opened.close()
        raise
    return Slide(info, opened)


def base_source(slide: Slide, mpp: float) -> PixelSource:
    """Return the slide's pixels at, or near enough to, `mpp` um.

    The nearest level within 0.8 to 1.25 of it, as it is; else the coarsest level that is finer (or level 0), resampled
    on the frame of that very mpp, anchored at the slide's corner.
    """
    usable = [(index, slide.info.levels[index]) for index in slide.info.usable_levels]
    nearest, frame = min(usable, key=lambda level: abs(math.log(level[1].mpp / mpp)))
    if fits(frame.mpp, mpp):
        return slide.level(nearest)
    finer = [index for index, level in usable if level.mpp <= mpp]
    return Resampled(slide.level(max(finer, default=0)), slide.info.frame.at(mpp))


def _open_reader(path: Path, wanted: str) -> Reader:
    """Return the first reader that opens the file, or raise UnreadableSlide with what each said."""
    if not path.is_file():
        what = f"{path}: there is no such file" if not path.exists() else f"{path}: not a file"
        raise UnreadableSlide(what, "Check the path; a slide is named by its own file.")
    if path.suffix.lower() == ".vsi":
        what = (
            f"{path}: a .vsi file holds a label and thumbnails; its pixels lie in .ets files that no reader here opens"
        )
        raise UnreadableSlide(what, "Convert it to OME-TIFF with bioformats2raw + raw2ometiff or QuPath.")
    reasons = []
    for kind in _candidates(path, wanted):
        try:
            return kind(path)
        except HistoloomError:
            raise
        except Exception as error:
            reasons.append(f"{kind.name}: {_one_line(error)}")
    what = f"{path}: not a slide that can be read ({'; '.join(reasons)})"
    raise UnreadableSlide(what, _CONVERT)


def _candidates(path: Path, wanted: str) -> list[_ReaderKind]:
    """Return the readers to try, best first. tiffslide goes first where it is faster and gives the same pixels."""
    if is_sparse(path):
        return [TiffReader]
    try:
        vendor = openslide_vendor(path)
        with path.open("rb") as file:
            is_tiff = file.read(4) in _TIFF_STARTS
    except OSError as error:
        what = f"{path}: {_one_line(error)}"
        raise UnreadableSlide(what, "Check the file's permissions and its disk.") from error
    if vendor is None and not is_tiff:
        return [PictureReader]
    if wanted != "auto":
        return [OpenSlideReader if wanted == "openslide" else TiffReader]
    if vendor in {"aperio", "generic-tiff"}:
        return [TiffReader, OpenSlideReader]
    return [TiffReader] if vendor is None else [OpenSlideReader]


def _refuse_claims(path: Path, levels: tuple[ReaderLevel, ...]) -> None:
    """Raise UnreadableSlide where a header claims more pixels than a slide has, than the file can hold, or none."""
    height, width = next((level.shape for level in levels if min(level.shape) < 1), levels[0].shape)
    bytes_of_all = _MOST_PX if path.suffix.lower() in _SEVERAL_FILES else path.stat().st_size
    fits = min(height, width) >= 1 and max(height, width) <= _LONGEST_PX
    if not fits or height * width > min(_MOST_PX, _MOST_PX_A_BYTE * max(bytes_of_all, 100_000)):
        what = f"{path}: claims {width:,} x {height:,} px in a file of {path.stat().st_size:,} bytes"
        raise UnreadableSlide(what, "The file's header is damaged or made up; export it again.")


def _settle_mpp(
    path: Path, option: float | None, stated: StatedResolution | None, objective_power: float | None
) -> tuple[float, str]:
    """Return um per level-0 pixel and where it comes from: the option, else the file; or raise."""
    if option is not None:
        return _plausible(path, option, "option --mpp"), "option --mpp"
    if stated is None:
        hint = f"; usual at {objective_power:g}x is about {10 / objective_power:.2g}" if objective_power else ""
        what = f"{path}: the file does not say how many um a pixel spans"
        raise MissingResolution(what, f"Give it as --mpp X{hint or ' (40x scans: about 0.25, 20x: about 0.5)'}.")
    mpp = (stated.mpp_y + stated.mpp_x) / 2
    if abs(stated.mpp_y - stated.mpp_x) > _MAX_ANISOTROPY * mpp:
        what = f"{path}: {stated.mpp_x:g} x {stated.mpp_y:g} um/px, from {stated.source}: pixels that are not square"
        raise ImplausibleResolution(what, "Give the right value as --mpp X.")
    return _plausible(path, mpp, stated.source), stated.source


def _plausible(path: Path, mpp: float, source: str) -> float:
    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:
        what = f"{path}: {mpp:g} um/px, from {source}, lies outside {low:g} to {high:g}, what microscopes give"
        raise ImplausibleResolution(what, "Give the right value as --mpp X.")
    return mpp


def _level_frames(levels: tuple[ReaderLevel, ...], level0_mpp: float) -> tuple[Frame, ...]:
    height, width = levels[0].shape
    return tuple(Frame(*level.shape, level0_mpp * _true_downsample(height, width, level)) for level in levels)


def _true_downsample(height: int, width: int, level: ReaderLevel) -> float:
    """Return the whole number whose quotient, rounded down or up, is the level's shape; else what the reader says.

    3,622 of 14,486 px is a quarter whose last column is not full, not 3.9996.
    """
    whole = round(level.downsample)
    fits = all(
        side in {full // whole, -(-full // whole)} for side, full in zip(level.shape, (height, width), strict=True)
    )
    return float(whole) if fits else level.downsample


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
