"""Readers: one way to ask a file for the pixels of one of its levels, whatever opens it. No resolution is judged here.

A reader is safe to share between threads. It answers in pixels of its own levels, never interpolated: two boxes that
overlap hold the same pixels where they do.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from openslide import OpenSlide
from PIL import Image, ImageOps

from pipeline.geometry import Box

# Pictures without tiles are held in memory whole: 525 MB as RGB, and just below what Pillow takes for a bomb. It warns
# from half of that on, which is said here or not at all.
MAX_WHOLE_PICTURE_PX = 175_000_000
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
_PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


@dataclass(frozen=True, slots=True)
class StatedResolution:
    """What a file says about its level-0 pixels, in um, and which of its fields says so."""

    mpp_y: float
    mpp_x: float
    source: str


@dataclass(frozen=True, slots=True)
class ReaderLevel:
    """One pyramid level as its reader sees it."""

    shape: tuple[int, int]
    """(height, width) in px."""
    downsample: float
    """Level-0 pixels along one pixel of this level, as the reader has it."""
    usable: bool = True
    """Whether its own pixels can be had, box by box."""


class Reader(Protocol):
    """What opens a file; made by calling the class with a path, which raises when the file is not of its kind."""

    name: str
    vendor: str
    objective_power: float | None
    stated: StatedResolution | None
    levels: tuple[ReaderLevel, ...]

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Return the (y, x, 3) RGB pixels of a box that lies inside the level."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class OpenSlideReader:
    """The formats of the scanners' makers, through openslide, whose handles may be shared between threads.

    openslide addresses every level in level-0 pixels. Where a level's downsample is not whole, most boxes then start
    between two of its pixels and openslide interpolates. Such a level is read whole, from its corner, where openslide
    does so in one piece, and is not usable where it is larger.
    """

    name = "openslide"
    _ONE_PIECE_SIDE_PX = 4096

    def __init__(self, path: Path) -> None:
        self._slide = OpenSlide(path)
        properties = self._slide.properties
        self.vendor = properties.get("openslide.vendor", "unknown")
        self.objective_power = as_number(properties.get("openslide.objective-power"))
        self.stated = _stated_by_openslide(properties)
        self.levels = tuple(
            self._level(width, height, downsample)
            for (width, height), downsample in zip(
                self._slide.level_dimensions, self._slide.level_downsamples, strict=True
            )
        )
        self._whole_levels: dict[int, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    def _level(self, width: int, height: int, downsample: float) -> ReaderLevel:
        usable = downsample.is_integer() or max(height, width) <= self._ONE_PIECE_SIDE_PX
        return ReaderLevel((height, width), downsample, usable)

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Return the (y, x, 3) pixels of a box inside the level; transparent ones over white."""
        downsample = self.levels[level].downsample
        if downsample.is_integer():
            return self._region(level, box, int(downsample))
        return self._whole_level(level)[box.slices()].copy()

    def _whole_level(self, level: int) -> NDArray[np.uint8]:
        with self._lock:
            if level not in self._whole_levels:
                height, width = self.levels[level].shape
                self._whole_levels[level] = self._region(level, Box(0, 0, height, width), 1)
            return self._whole_levels[level]

    def _region(self, level: int, box: Box, downsample: int) -> NDArray[np.uint8]:
        region = self._slide.read_region((box.x * downsample, box.y * downsample), level, (box.width, box.height))
        return over_white(region)

    def close(self) -> None:
        """Close openslide's handle."""
        self._slide.close()


class PictureReader:
    """A plain picture (PNG, JPEG, BMP, WebP) as a slide of one level, held in memory. It states no resolution.

    The dots per inch of such files are a printer's affair and say nothing about a microscope.
    """

    name = "pillow"
    objective_power: float | None = None
    stated: StatedResolution | None = None

    def __init__(self, path: Path) -> None:
        with Image.open(path, formats=_PICTURE_FORMATS) as picture:
            refuse_bomb(picture.height, picture.width)
            self.vendor = f"picture ({picture.format})"
            self._pixels = _rgb8_of(ImageOps.exif_transpose(picture))
        self.levels: tuple[ReaderLevel, ...] = (ReaderLevel((self._pixels.shape[0], self._pixels.shape[1]), 1.0),)

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Return the (y, x, 3) pixels of a box inside the picture."""
        return self._pixels[box.slices()].copy()

    def close(self) -> None:
        """Nothing stays open."""


def openslide_vendor(path: Path) -> str | None:
    """Return what openslide takes the file for (aperio, hamamatsu, generic-tiff ...), None for nothing it knows."""
    vendor: str | None = OpenSlide.detect_format(path)
    return vendor


def refuse_bomb(height: int, width: int) -> None:
    """Raise ValueError before a picture is decoded that is too large to hold in memory."""
    if height * width > MAX_WHOLE_PICTURE_PX:
        msg = (
            f"{width} x {height} px without tiles is more than the {MAX_WHOLE_PICTURE_PX:,} px that are held in memory"
        )
        raise ValueError(msg)


def over_white(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the (y, x, 3) RGB pixels of a picture with an alpha channel, laid over white."""
    rgba = np.asarray(picture)
    if rgba[..., 3].min(initial=255) == 255:
        return np.ascontiguousarray(rgba[..., :3])
    paper = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(paper, picture).convert("RGB"))


def grey16_to_grey8(samples: NDArray[np.uint16], bits: int | None = None) -> NDArray[np.uint8]:
    """Scale samples of `bits` bits to 8; without it, of the fewest even number of bits that holds the brightest.

    Cameras of 10, 12 or 14 bits write files of 16; taken as 16, their pictures would come out black.
    """
    if bits is None:
        brightest_bits = int(samples.max(initial=0)).bit_length()
        bits = max(8, brightest_bits + brightest_bits % 2)
    full = 2**bits - 1
    scaled: NDArray[np.uint32] = (np.minimum(samples, full).astype(np.uint32) * 255 + full // 2) // full
    return scaled.astype(np.uint8)


def as_number(text: str | float | None) -> float | None:
    """Return the number that a metadata field holds, or None where it holds none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _rgb8_of(picture: Image.Image) -> NDArray[np.uint8]:
    """Return (y, x, 3): grey repeated, palettes looked up, alpha over white, 16 bits scaled."""
    if picture.mode.startswith("I"):
        grey = np.clip(np.asarray(picture), 0, 65535).astype(np.uint16)
        return np.repeat(grey16_to_grey8(grey)[..., np.newaxis], 3, axis=2)
    if picture.has_transparency_data:
        return over_white(picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def _stated_by_openslide(properties: Mapping[str, str]) -> StatedResolution | None:
    mpp_y, mpp_x = as_number(properties.get("openslide.mpp-y")), as_number(properties.get("openslide.mpp-x"))
    if mpp_y is None or mpp_x is None:
        return None
    vendor = properties.get("openslide.vendor")
    if vendor == "aperio":
        return StatedResolution(mpp_y, mpp_x, "aperio.MPP")
    if vendor == "generic-tiff":
        unit = properties.get("tiff.ResolutionUnit", "inch")
        return StatedResolution(mpp_y, mpp_x, f"tiff.XResolution ({unit})")
    return StatedResolution(mpp_y, mpp_x, f"openslide.mpp-x ({vendor})")
