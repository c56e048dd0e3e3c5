"""Tiles of a store's layers as small picture files, in bounded memory."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry import Box
from pipeline.store import Layer, SlideStore
from pipeline.view_cache import ByteCache
from pipeline.view_files import Files
from pipeline.view_layers import TILE_PX, ViewLayer

Format = Literal["png", "jpeg"]

DECODED = ByteCache[NDArray[Any]](48 << 20)
ENCODED = ByteCache[bytes](32 << 20)
"""Of all slides that a process shows."""

_MOST_NUMBER = 2**31


@dataclass(frozen=True, slots=True)
class TilePlace:
    """A tile that exists, and what tells its content from what it may become while a run goes on."""

    layer: ViewLayer
    level: int
    box: Box
    """Of the level's frame; cut at its far edges."""
    tag: str


class TileMaker:
    """Makes the tiles of one slide's store. Safe to share between threads."""

    def __init__(self, store: SlideStore, files: Files, prefix: str, version: str | None = None) -> None:
        """`files` and `prefix` say where the store's files lie.

        `version` tells one content of the store from another where it is written once and for all; without it every
        file is looked at, which a local disk does in microseconds.
        """
        self._store, self._files, self._prefix, self._version = store, files, prefix, version
        self._levels: dict[str, Layer] = {}

    def find(self, layer: ViewLayer, level: int, column: int, row: int) -> TilePlace | None:
        """The tile in a column and a row of a level; None where there is none. Raises `OutsideFolder`."""
        frame = layer.frame(level)
        if frame is None or not (0 <= column < _MOST_NUMBER and 0 <= row < _MOST_NUMBER):
            return None
        box = frame.box.clip(Box(row * TILE_PX, column * TILE_PX, TILE_PX, TILE_PX))
        if not box.area_px:
            return None
        return TilePlace(layer, level, box, self._tag(layer, level, box))

    def picture(self, place: TilePlace, kind: Format) -> bytes:
        """The tile as a file: RGB; grey with alpha of a scalar; grey of a mask."""

        def make() -> tuple[bytes, int]:
            content = _encode(self._pixels(place), place.layer, kind)
            return content, len(content)

        layer = place.layer
        return ENCODED.get((place.tag, layer.channel, kind, place.box), make)

    def _pixels(self, place: TilePlace) -> NDArray[Any]:
        def make() -> tuple[NDArray[Any], int]:
            pixels = self._level(place.layer.path(place.level)).read(place.box)
            return pixels, pixels.nbytes

        return DECODED.get((place.tag, place.box), make)

    def _level(self, path: str) -> Layer:
        if path not in self._levels:
            self._levels[path] = self._store.layer(path)
        return self._levels[path]

    def _tag(self, layer: ViewLayer, level: int, box: Box) -> str:
        path = layer.path(level)
        parts = [self._prefix, path]
        if self._version is not None:
            parts.append(self._version)
        else:
            for file in self._level(path).files(box):
                stamp = self._files.stamp(f"{self._prefix}/{file}")
                parts.append(stamp.tag if stamp else "-")
        return hashlib.blake2b("\n".join(parts).encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


def _encode(pixels: NDArray[Any], layer: ViewLayer, kind: Format) -> bytes:
    if layer.kind == "scalar":
        picture = Image.fromarray(_grey_alpha(pixels[..., layer.channel], layer.range or (0.0, 1.0)), "LA")
    else:
        picture = Image.fromarray(pixels if pixels.dtype == np.uint8 else pixels.clip(0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    if layer.kind == "rgb" and kind == "jpeg":
        picture.save(buffer, "JPEG", quality=90, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _grey_alpha(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Values (y, x) between two limits as (y, x, 2): 0 to 255, and 0 where there is no value."""
    low, high = limits
    there = np.isfinite(values)
    share = (np.where(there, values, low).astype(np.float64) - low) / (high - low or 1.0)
    grey = np.rint(share.clip(0, 1) * 255)
    return np.stack([grey, there * 255], axis=-1).astype(np.uint8)
