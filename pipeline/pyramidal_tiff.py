"""Write a tiled pyramidal TIFF, tile by tile, that openslide and tiffslide read with the right resolution.

The layout is Aperio's: level 0, a thumbnail in strips, then the lower levels, and `MPP` in the description. From that
layout both readers take the resolution literally, and any downsample; of a plain TIFF, tiffslide takes factors 2 to 4
alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pipeline.geometry import Box, Frame

Compression = Literal["jpeg", "deflate"]
Render = Callable[[Box], NDArray[np.uint8]]
"""(y, x, 3) RGB of a box of level 0."""

TILE_PX = 256
_JPEG_QUALITY = 90
_THUMBNAIL_PX = 1024
# Level-0 pixels that are rendered at once along one axis, to bound memory.
_RENDER_PX = 1024


def write_pyramidal_tiff(
    path: Path,
    level0: Frame,
    render: Render,
    *,
    level_downsamples: Sequence[float] = (1, 4, 16),
    compression: Compression = "jpeg",
) -> None:
    """Write what `render` shows; memory does not grow with the slide, and `path` appears only when complete.

    Every level spans the whole slide, rounded to whole pixels, and its pixels are means over the level-0 area that they
    cover. Downsamples need not be whole.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tifffile.TiffWriter(partial, bigtiff=level0.box.area_px > 2**30) as tiff:
            thumbnail = _Thumbnail(level0)
            for number, downsample in enumerate(level_downsamples):
                tiles = _tiles(level0, downsample, render, thumbnail if number == 0 else None)
                _write_level(tiff, _level_shape(level0, downsample), tiles, compression, _description(level0, number))
                if number == 0:
                    _write_thumbnail(tiff, thumbnail.pixels)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _level_shape(level0: Frame, downsample: float) -> tuple[int, int]:
    return max(1, round(level0.height / downsample)), max(1, round(level0.width / downsample))


def _description(level0: Frame, level: int) -> str:
    lines = f"Aperio Image Library, synthetic, made by Histoloom\r\n{level0.width}x{level0.height} level {level}"
    return f"{lines}|AppMag = {10 / level0.mpp:g}|MPP = {level0.mpp!r}"


def _write_level(
    tiff: tifffile.TiffWriter, shape: tuple[int, int], tiles: Iterator[NDArray[np.uint8]], compression: Compression,
    description: str,
) -> None:  # fmt: skip
    jpeg = compression == "jpeg"
    tiff.write(
        (_encode(tile, compression) for tile in tiles),
        shape=(*shape, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="ycbcr" if jpeg else "rgb",
        subsampling=(1, 1) if jpeg else None,
        compression="jpeg" if jpeg else "adobe_deflate",
        description=description,
        metadata=None,
    )


def _write_thumbnail(tiff: tifffile.TiffWriter, pixels: NDArray[np.uint8]) -> None:
    """In strips, by which readers of this layout tell it from a level."""
    tiff.write(pixels, photometric="rgb", compression="adobe_deflate", description="Aperio thumbnail", metadata=None)


def _encode(tile: NDArray[np.uint8], compression: Compression) -> bytes:
    if compression == "deflate":
        return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=4))
    return bytes(
        imagecodecs.jpeg8_encode(tile, level=_JPEG_QUALITY, colorspace="RGB", outcolorspace="YCBCR", subsampling="444")
    )


def _tiles(level0: Frame, downsample: float, render: Render, seen: _Thumbnail | None) -> Iterator[NDArray[np.uint8]]:
    """The tiles of a level in reading order, all (TILE_PX, TILE_PX, 3); far edges repeat their last pixels."""
    height, width = _level_shape(level0, downsample)
    for core in Frame(height, width, level0.mpp).partition(TILE_PX):
        tile = reduced(level0, (height, width), core, render)
        if seen:
            seen.add(core, tile)
        missing = TILE_PX - core.height, TILE_PX - core.width
        yield np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else tile


def reduced(level0: Frame, shape: tuple[int, int], box: Box, render: Render) -> NDArray[np.uint8]:
    """(y, x, 3) of `box` in a level of `shape` that spans level 0: means over the level-0 area of each pixel."""
    if shape == level0.shape:
        return render(box)
    tile = np.empty((*box.shape, 3), np.uint8)
    step = max(1, int(_RENDER_PX * shape[0] / level0.height))
    for part in Frame(*box.shape, level0.mpp).partition(step):
        rows = _area_weights(box.y + part.y, part.height, level0.height, shape[0])
        columns = _area_weights(box.x + part.x, part.width, level0.width, shape[1])
        pixels = render(Box(rows.first, columns.first, rows.weights.shape[1], columns.weights.shape[1]))
        tile[part.slices()] = np.round(_apply(rows.weights, columns.weights, pixels))
    return tile


@dataclass(frozen=True, slots=True)
class _AreaWeights:
    """What a run of reduced pixels is the mean of: weights (reduced, level 0 from `first` on), whose rows sum to 1."""

    first: int
    weights: csr_array


def _area_weights(start: int, count: int, size0: int, size: int) -> _AreaWeights:
    """For reduced pixels start .. start + count along an axis of `size` pixels that spans `size0` level-0 pixels."""
    edges = np.arange(start, start + count + 1) * size0 / size
    first, last = int(edges[0]), min(size0, int(np.ceil(edges[-1] - 1e-9)))
    pixels = np.arange(first, last)
    shared = np.minimum(edges[1:, np.newaxis], pixels + 1) - np.maximum(edges[:-1, np.newaxis], pixels)
    return _AreaWeights(first, csr_array(np.maximum(shared, 0).astype(np.float32) * np.float32(size / size0)))


def _apply(rows: csr_array, columns: csr_array, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weighted means of (y, x, 3) pixels, first along y, then along x."""
    height, width, channels = pixels.shape
    fewer_rows = (rows @ pixels.reshape(height, width * channels).astype(np.float32)).reshape(-1, width, channels)
    turned = np.ascontiguousarray(fewer_rows.transpose(1, 0, 2)).reshape(width, -1)
    return np.asarray((columns @ turned).reshape(columns.shape[0], -1, channels).transpose(1, 0, 2))


class _Thumbnail:
    """Every so-manieth pixel of level 0, picked as its tiles go by: a look at the slide, and no level of it."""

    def __init__(self, level0: Frame) -> None:
        self._factor = 1
        while self._factor < TILE_PX and max(level0.shape) > self._factor * _THUMBNAIL_PX:
            self._factor *= 2
        self.pixels = np.full((*level0.box.over(self._factor).shape, 3), 255, np.uint8)

    def add(self, core: Box, tile: NDArray[np.uint8]) -> None:
        """Take in the tile of level 0 that lies at `core`."""
        self.pixels[core.over(self._factor).slices()] = tile[:: self._factor, :: self._factor]
