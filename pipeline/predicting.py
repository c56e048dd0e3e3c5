"""Feed tiles of a layer to a predictor, as many at once as share a shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.allocator import let_go_of_free_memory
from pipeline.grid import Tile
from pipeline.slide import PixelSource
from pipeline.workspace import Predictor

# Tiles after which free memory is let go of: to fill it with pages again takes less than a second.
_CLEARED_AFTER = 24
_lock = Lock()
_since_cleared = 0


def predict_tiles(
    predictor: Predictor, source: PixelSource, tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, NDArray[np.uint8], NDArray[Any]]]:
    """(tile, its read pixels, what the predictor says of them), in the order of the tiles."""
    for _, group in groupby(tiles, key=lambda tile: tile.read.shape):
        alike = list(group)
        pixels = np.stack([source.read(tile.read) for tile in alike])
        yield from zip(alike, pixels, predictor(pixels), strict=True)
    _clear_up(len(tiles))


def _clear_up(tiles: int) -> None:
    """Now and then let go of the places that tiles of other sizes left in memory."""
    global _since_cleared
    with _lock:
        _since_cleared += tiles
        due = _since_cleared >= _CLEARED_AFTER
        if due:
            _since_cleared = 0
    if due:
        let_go_of_free_memory()
