"""Ingest: the slide's own pixels, once, into the store; every later stage reads the store.

A tile is a block of many cores. What its pixels suffice for of the coarser levels is made of them as they pass, so that
the finest level is not read again for it; the levels above are `pyramid`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile, TileGrid
from pipeline.halving import halve_labels, halve_mean
from pipeline.slide import LevelSource, PixelSource
from pipeline.store import Layer, shard_px
from pipeline.tissue import TissueMask
from pipeline.workspace import Workspace

IMAGE, TISSUE = "", "labels/tissue"
"""The groups that ingest fills."""

Halve = Callable[[NDArray[Any]], NDArray[Any]]

# Sides of a block, and rows of it that are read at once: a slide's own tiles seldom end where cores do, and those that
# lie across an edge are decoded on either side of it.
_BLOCK_PX, _STRIP_PX = 4096, 2048


def tiles_near(tissue: TissueMask, reach_um: float, grid: TileGrid) -> Iterable[Tile]:
    """The tiles whose cores come within reach_um of tissue, in reading order."""
    held = near(tissue, reach_um).touches_cores(grid.frame, grid.core_px)
    return (grid.tile(row, col) for row, col in np.argwhere(held).tolist())


def near(tissue: TissueMask, reach_um: float) -> TissueMask:
    """Where tissue is, or within reach of it."""
    return tissue.dilated(reach_um) if reach_um > 0 else tissue


@dataclass(frozen=True, slots=True)
class Ingest:
    """Write the slide's RGB and the tissue mask, pixel for pixel, as far around tissue as any later stage looks."""

    frame: Frame
    core_px: int
    reach_um: float
    levels: int = 1
    """How many levels the pyramid has."""
    name: str = "ingest"
    batch_tiles: int = 1

    @property
    def block_px(self) -> int:
        """The side of a tile: cores, doubled as often as memory allows."""
        side = self.core_px
        while 2 * side <= _BLOCK_PX:
            side *= 2
        return side

    @property
    def coarser(self) -> int:
        """How many coarser levels are made as well: those of which a block is still made of whole shards."""
        made = 0
        while made + 1 < self.levels and self.block_px % (shard_px(self.core_px) << (made + 1)) == 0:
            made += 1
        return made

    def tiles(self, tissue: TissueMask) -> Iterable[Tile]:
        """Blocks with a core within reach of tissue."""
        return tiles_near(tissue, self.reach_um, TileGrid(self.frame, self.block_px))

    def run(self, tiles: Sequence[Tile], workspace: Workspace) -> pa.Table | None:
        """Copy cores from the slide, draw the mask beside them, and halve both."""
        levels = range(self.coarser + 1)
        images = [workspace.store.layer(str(level)) for level in levels]
        masks = [workspace.store.layer(f"{TISSUE}/{level}") for level in levels]
        source, tissue = workspace.base, workspace.tissue
        worth = near(tissue, self.reach_um)
        for tile in tiles:
            image, mask = _Block(images, tile.core, halve_mean), _Block(masks, tile.core, halve_labels)
            for core, pixels in self._read(source, worth, tile.core):
                image.put(core, pixels)
                mask.put(core, tissue.crop(core, self.frame))
            image.close()
            mask.close()
        return None

    def _read(self, source: PixelSource, worth: TissueMask, block: Box) -> Iterator[tuple[Box, NDArray[np.uint8]]]:
        """The cores of a block that are near tissue, each with its (y, x, 3) pixels."""
        rows = max(self.core_px, _STRIP_PX // self.core_px * self.core_px)
        for top in range(block.y, block.y_end, rows):
            strip = block.clip(Box(top, block.x, rows, block.width))
            places = Frame(strip.height, strip.width, self.frame.mpp).partition(self.core_px)
            cores = (Box(strip.y + place.y, strip.x + place.x, place.height, place.width) for place in places)
            held = [core for core in cores if worth.touches(core, self.frame)]
            if isinstance(source, LevelSource) and held:
                hull = _hull(held)
                pixels = source.read(hull)
                yield from ((core, pixels[core.relative_to(hull).slices()]) for core in held)
            else:  # what is resampled takes much memory a pixel, and little more for its edges
                yield from ((core, source.read(core)) for core in held)


class _Block:
    """The levels of one image inside a block, while its cores come in."""

    def __init__(self, layers: Sequence[Layer], block: Box, halve: Halve) -> None:
        self._layers, self._halve = layers, halve
        self._places = [block.over(2**level) for level in range(len(layers))]
        self._half = _empty(layers[0], self._places[1]) if len(layers) > 1 else None

    def put(self, core: Box, pixels: NDArray[Any]) -> None:
        """Write a core, and keep what becomes of it one level up."""
        if pixels.ndim == 3:
            pixels = _by_channels(pixels)
        self._layers[0].write(core, pixels)
        if self._half is not None:
            self._half[core.over(2).relative_to(self._places[1]).slices()] = self._halve(pixels)

    def close(self) -> None:
        """Write the coarser levels."""
        pixels = self._half
        for level in range(1, len(self._layers)):
            assert pixels is not None
            if level > 1:
                pixels = self._halve(pixels)
            self._layers[level].write(self._places[level], pixels)


def _empty(layer: Layer, box: Box) -> NDArray[np.uint8]:
    """What the store holds of a box where nothing was written."""
    if not layer.channels:
        return np.full(box.shape, layer.fill, np.uint8)
    return np.moveaxis(np.full((layer.channels, *box.shape), layer.fill, np.uint8), 0, -1)


def _by_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same (y, x, c) pixels with each channel by itself in memory, as the store has them."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), 0, -1)


def _hull(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these."""
    y, x = min(box.y for box in boxes), min(box.x for box in boxes)
    return Box(y, x, max(box.y_end for box in boxes) - y, max(box.x_end for box in boxes) - x)
