"""Feed tiles of a layer to a predictor, as many at once as share a shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import Tile
from pipeline.slide import PixelSource
from pipeline.workspace import Predictor


def predict_tiles(
    predictor: Predictor, source: PixelSource, tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, NDArray[np.uint8], NDArray[Any]]]:
    """(tile, its read pixels, what the predictor says of them), in the order of the tiles."""
    for _, group in groupby(tiles, key=lambda tile: tile.read.shape):
        alike = list(group)
        pixels = np.stack([source.read(tile.read) for tile in alike])
        yield from zip(alike, pixels, predictor(pixels), strict=True)
