"""The TIFF family (Aperio SVS, generic, OME-TIFF, flat): opened by tiffslide, tiles decoded straight from the file.

tiffslide reads through a zarr store whose reads wait for each other. Here a box's tiles are fetched with positioned
reads on one file descriptor and decoded where they are asked for: no lock, no cache, no handle a thread. Of a slide in
an object store they are all that is fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC
from tiffslide import TiffSlide

from pipeline.geometry import Box
from pipeline.readers import ReaderLevel, StatedResolution, as_number, grey16_to_grey8, refuse_bomb
from pipeline.slide_bytes import as_file, open_bytes

# tifffile reports every oddity of a file on its logger; what matters comes as an exception.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_UM_PER_UNIT = {"INCH": 25_400.0, "CENTIMETER": 10_000.0, "MILLIMETER": 1_000.0, "MICROMETER": 1.0}
_UM_PER_OME_UNIT = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}
_IMAGEJ_MICRONS = {"micron", "microns", "um", "µm", "\\u00B5m"}
# Their tiles are placed by the maker's own rules, which openslide knows and a plain TIFF reader does not.
_OPENSLIDE_ONLY = ("scn", "bif", "ndpi", "philips")


@dataclass(frozen=True, slots=True)
class _Page:
    """What decoding a page's tiles takes; holds no file, so that any thread may use it."""

    shape: tuple[int, int]
    """(height, width) in px."""
    tile_shape: tuple[int, int]
    planes: int
    """3 where a tile holds one colour, else 1."""
    samples: int
    """Samples of a pixel within one tile."""
    dtype: np.dtype[Any]
    bits: int
    photometric: int
    extra_samples: tuple[int, ...]
    colormap: NDArray[np.uint16] | None
    offsets: Sequence[int]
    byte_counts: Sequence[int]
    decode: Callable[[bytes, int], NDArray[Any]]
    """From a tile's bytes and its number to (y, x, samples)."""

    @classmethod
    def of(cls, page: Any) -> _Page:
        """Read from an open file all that its pages would look up later."""
        key = page.keyframe  # of a page that repeats another's layout, tifffile reads the place of its tiles alone
        planes, _, height, width, samples = key.shaped
        tables = {"jpegtables": key.jpegtables} if key.jpegtables is not None else {}
        decode = key.decode
        return cls(
            shape=(height, width),
            tile_shape=(key.tilelength, key.tilewidth),
            planes=planes,
            samples=samples,
            dtype=key.dtype,
            bits=key.bitspersample,
            photometric=key.photometric,
            extra_samples=tuple(key.extrasamples),
            colormap=key.colormap if key.photometric == PHOTOMETRIC.PALETTE else None,
            offsets=page.dataoffsets,
            byte_counts=page.databytecounts,
            decode=lambda data, index: decode(data, index, **tables)[0][0],
        )

    def refuse_bomb(self) -> None:
        """Raise ValueError for tiles too large to hold, or fewer than the picture has."""
        height, width = self.tile_shape
        refuse_bomb(height, width)
        if height and width:
            wanted = self.planes * -(-self.shape[0] // height) * -(-self.shape[1] // width)
            if min(len(self.offsets), len(self.byte_counts)) < wanted:
                msg = f"lists {len(self.offsets)} tiles where its {self.shape[1]} x {self.shape[0]} px have {wanted}"
                raise ValueError(msg)

    def tiles(self, box: Box) -> Iterator[tuple[int, int, Box]]:
        """(number, plane, place in the page) of every tile that touches the box."""
        tile_height, tile_width = self.tile_shape
        rows, columns = -(-self.shape[0] // tile_height), -(-self.shape[1] // tile_width)
        for plane in range(self.planes):
            for row in range(box.y // tile_height, -(-box.y_end // tile_height)):
                for column in range(box.x // tile_width, -(-box.x_end // tile_width)):
                    place = Box(row * tile_height, column * tile_width, tile_height, tile_width)
                    yield (plane * rows + row) * columns + column, plane, place


class TiffReader:
    """A TIFF as a slide: its largest picture of two dimensions, with the smaller copies of it as levels."""

    name = "tiffslide"

    def __init__(self, path: Path) -> None:
        with TiffSlide(as_file(path)) as slide:
            tiff = slide.ts_tifffile
            foreign = [kind for kind in _OPENSLIDE_ONLY if getattr(tiff, f"is_{kind}")]
            if foreign:
                msg = f"a {foreign[0]} file; tiffslide does not place its tiles as its maker does"
                raise ValueError(msg)
            series = _largest_picture(tiff)
            aperio = slide.properties if tiff.is_svs else {}
            self.vendor = "aperio" if tiff.is_svs else "ome-tiff" if tiff.is_ome else "generic-tiff"
            self.objective_power = as_number(aperio.get("tiffslide.objective-power"))
            self.stated = _stated(tiff, series, as_number(aperio.get("aperio.MPP")))
            self._levels = _levels(tiff, series)
            self._whole = _whole_picture(series)
        height, width = self._levels[0][0].shape
        self.levels = tuple(
            ReaderLevel(page.shape, (height / page.shape[0] + width / page.shape[1]) / 2) for page, *_ in self._levels
        )
        for page in (page for pages in self._levels for page in pages):
            page.refuse_bomb()
        self._file = open_bytes(path)

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Return the (y, x, 3) pixels of a box inside the level; tiles that the file leaves out are white."""
        if self._whole is not None:
            return self._whole[box.slices()].copy()
        pages = self._levels[level]
        planes = [plane for page in pages for plane in self._planes(page, box)]
        samples = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        return _rgb8(samples, pages[0], pages[0].bits)

    def _planes(self, page: _Page, box: Box) -> NDArray[Any]:
        """Return (planes, y, x, samples) as stored."""
        tiles = list(page.tiles(box))
        stored = np.empty((page.planes, box.height, box.width, page.samples), page.dtype)
        if not all(page.byte_counts[number] for number, *_ in tiles):
            stored[:] = 0 if page.photometric == PHOTOMETRIC.MINISWHITE else 2**page.bits - 1
        self._file.fetch((page.offsets[number], page.byte_counts[number]) for number, *_ in tiles)
        for number, plane, place in tiles:
            tile = self._tile(page, number)
            if tile is not None:
                inside = place.clip(box)
                stored[(plane, *inside.relative_to(box).slices())] = tile[inside.relative_to(place).slices()]
        return stored

    def _tile(self, page: _Page, number: int) -> NDArray[Any] | None:
        """Return one tile (y, x, samples); None when the file holds no bytes for it."""
        count = page.byte_counts[number]
        if not count:
            return None
        count = min(count, self._file.size)  # a header may claim any count
        data = self._file.pread(count, page.offsets[number])
        if len(data) < page.byte_counts[number]:
            msg = f"the file ends inside tile {number}: {len(data)} of its {page.byte_counts[number]} bytes are there"
            raise EOFError(msg)
        return page.decode(data, number)

    def close(self) -> None:
        """Close the file; tiffslide's own was closed once the tables were read."""
        self._file.close()


def _largest_picture(tiff: Any) -> Any:
    """Return the largest series that is one picture in grey or RGB, of 8 or 16 bits."""
    pictures = [series for series in tiff.series if _is_picture(series)]
    if not pictures:
        found = ", ".join(f"{series.axes} {series.shape} {series.dtype}" for series in tiff.series[:3])
        msg = f"no picture of two dimensions in grey or RGB; the file holds {found or 'nothing'}"
        raise ValueError(msg)
    return max(pictures, key=lambda series: series.size)


def _is_picture(series: Any) -> bool:
    channels = {"YX": 1, "YXS": series.shape[-1], "SYX": series.shape[0], "CYX": series.shape[0]}.get(series.axes)
    if channels not in {1, 3, 4} or (series.axes == "CYX" and channels != 3):
        return False
    return series.dtype in (np.uint8, np.uint16, np.bool_) and _colour_is_known(series.pages[0])


def _colour_is_known(page: Any) -> bool:
    """Whether decoding gives grey, RGB or palette indices: some codecs hand out luma and chroma as they are."""
    if page.compression == COMPRESSION.APERIO_JP2000_YCBC:
        return False
    if page.photometric == PHOTOMETRIC.YCBCR:
        return page.compression in {COMPRESSION.OJPEG, COMPRESSION.JPEG, COMPRESSION.WEBP}
    return page.photometric in {PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE}


def _levels(tiff: Any, series: Any) -> tuple[tuple[_Page, ...], ...]:
    """Return the levels, largest first: one page each, or three where every colour has a page of its own.

    Levels are those of the series, and copies that tifffile lists as series of their own: it groups pages by size and
    misses levels whose rounding it does not expect.
    """
    picture = series.pages[0]
    if not picture.is_tiled:
        return ((_Page.of(picture),),)
    levels = {_shape(level.pages[0]): tuple(level.pages) for level in series.levels}
    for other in tiff.series:
        if len(other.pages) == 1 and _is_copy(other.pages[0], picture):
            levels.setdefault(_shape(other.pages[0]), (other.pages[0],))
    return tuple(tuple(map(_Page.of, pages)) for _, pages in sorted(levels.items(), reverse=True))


def _shape(page: Any) -> tuple[int, int]:
    return page.imagelength, page.imagewidth


def _is_copy(page: Any, picture: Any) -> bool:
    """Whether a page says to be a smaller copy and is one of this picture: the same view, stored alike."""
    alike = all(
        getattr(page, trait) == getattr(picture, trait) for trait in ("dtype", "samplesperpixel", "photometric")
    )
    height, width = _shape(picture)
    same_view = abs(height * page.imagewidth / width - page.imagelength) <= 1
    return bool(page.is_reduced and page.is_tiled and alike and same_view)


def _whole_picture(series: Any) -> NDArray[np.uint8] | None:
    """Return (y, x, 3) of a TIFF without tiles; None for one with tiles."""
    page = series.pages[0]
    if page.is_tiled:
        return None
    refuse_bomb(page.imagelength, page.imagewidth)
    samples = series.asarray(level=0)
    if samples.ndim == 2:
        samples = samples[..., np.newaxis]
    elif series.axes != "YXS":
        samples = np.moveaxis(samples, 0, 2)
    return _rgb8(samples, _Page.of(page), 1 if samples.dtype == np.bool_ else None)


def _rgb8(samples: NDArray[Any], page: _Page, bits: int | None) -> NDArray[np.uint8]:
    """Return (y, x, 3) RGB of (y, x, samples) as stored; `bits` of a sample, None to tell from the brightest."""
    if page.colormap is not None:
        return np.moveaxis((page.colormap // 257).astype(np.uint8)[:, samples[..., 0]], 0, 2)
    eight: NDArray[np.uint8] = (
        samples if samples.dtype == np.uint8 else grey16_to_grey8(samples.astype(np.uint16), bits)
    )
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        eight = 255 - eight
    colour, rest = (eight[..., :3], eight[..., 3:]) if eight.shape[2] >= 3 else (eight[..., :1], eight[..., 1:])
    if rest.shape[2] and page.extra_samples and page.extra_samples[0] in {1, 2}:
        colour = _over_white(colour, rest[..., :1], premultiplied=page.extra_samples[0] == 1)
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8], *, premultiplied: bool) -> NDArray[np.uint8]:
    share = alpha.astype(np.float32) / 255
    light = colour if premultiplied else colour * share
    return np.clip(np.rint(light + 255 * (1 - share)), 0, 255).astype(np.uint8)


def _stated(tiff: Any, series: Any, aperio_mpp: float | None) -> StatedResolution | None:
    """Return the first resolution stated: by the maker's field, by OME, by ImageJ, by the TIFF tags."""
    if aperio_mpp is not None:
        return StatedResolution(aperio_mpp, aperio_mpp, "aperio.MPP")
    page = series.pages[0]
    candidates = (
        _stated_by_ome(tiff, series) if tiff.is_ome else None,
        _stated_by_imagej(tiff, page) if tiff.is_imagej else None,
        _stated_by_tags(page),
    )
    return _first(candidates)


def _first(candidates: Iterable[StatedResolution | None]) -> StatedResolution | None:
    return next((stated for stated in candidates if stated is not None), None)


def _stated_by_ome(tiff: Any, series: Any) -> StatedResolution | None:
    images = tifffile.xml2dict(tiff.ome_metadata).get("OME", {}).get("Image", [])
    images = images if isinstance(images, list) else [images]
    place = list(tiff.series).index(series)
    pixels = images[place].get("Pixels", {}) if place < len(images) else {}
    mpp = [
        (
            as_number(pixels.get(f"PhysicalSize{axis}")),
            _UM_PER_OME_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm")),
        )
        for axis in "YX"
    ]
    (size_y, unit_y), (size_x, unit_x) = mpp
    if size_y is None or size_x is None or unit_y is None or unit_x is None:
        return None
    return StatedResolution(size_y * unit_y, size_x * unit_x, "OME PhysicalSizeX")


def _stated_by_imagej(tiff: Any, page: Any) -> StatedResolution | None:
    pixels_per_unit = _resolution_tags(page)
    if pixels_per_unit is None or (tiff.imagej_metadata or {}).get("unit") not in _IMAGEJ_MICRONS:
        return None
    return StatedResolution(1 / pixels_per_unit[0], 1 / pixels_per_unit[1], "tiff.XResolution (ImageJ, micron)")


def _stated_by_tags(page: Any) -> StatedResolution | None:
    pixels_per_unit = _resolution_tags(page)
    unit = page.tags.valueof("ResolutionUnit")
    um = _UM_PER_UNIT.get(getattr(unit, "name", ""))
    if pixels_per_unit is None or um is None:
        return None
    source = f"tiff.XResolution ({unit.name.lower()})"
    return StatedResolution(um / pixels_per_unit[0], um / pixels_per_unit[1], source)


def _resolution_tags(page: Any) -> tuple[float, float] | None:
    """(YResolution, XResolution) in pixels per unit; None unless both are there and above zero."""
    try:
        per_y, per_x = (float(Fraction(*page.tags[f"{axis}Resolution"].value)) for axis in "YX")
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (per_y, per_x) if min(per_y, per_x) > 0 else None
