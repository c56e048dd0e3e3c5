"""Pairs of a large image and its reduction, as many as there are: decoded once, kept while there is room, else re-read.

Sets of thousands of tiles do not fit into memory, sets of dozens do, and drawing a crop must not wait for a decoder.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import overload

import numpy as np
from numpy.typing import NDArray

from models.data import refuse_shared_patients
from models.degrade import Degradation
from models.errors import TrainingError

PARTS = ("train", "validation", "test")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image (scale y, scale x, 3) and its reduction (y, x, 3), both uint8."""

    name: str
    high: NDArray[np.uint8]
    low: NDArray[np.uint8]
    patient: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """How well the lower level of a slide lies on its reduced upper one, over the fields of a source."""

    downsample: float
    """Upper-level px along one px of the lower level, as the files' levels have it."""
    median_offset_px: tuple[float, float]
    """(y, x), in px of the lower level, after fields are placed by `downsample`; by Fourier correlation."""
    largest_offset_px: float


@dataclass(frozen=True, slots=True)
class PairSet:
    """The pairs of one source, by part of the split."""

    share: float
    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]
    train_patients: tuple[str, ...]
    test_patients: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    """Tiles that are not used, each with the reason."""
    degradation: Degradation = "bicubic_aa"
    parted: str = ""
    """The slide and the share of its width where training ends and the test begins; sources parted alike do not mix."""
    registration: Registration | None = None
    """Of degradation `pyramid`."""


@dataclass(frozen=True, slots=True)
class Tile:
    """What a pair is read from; holds no pixels."""

    name: str
    patient: str
    read: Callable[[], Pair]
    """Raises TrainingError where the pixels cannot be had."""


class PairCache:
    """The pairs that were used last, up to a number of bytes of pixels; shared between threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pairs: OrderedDict[Tile, Pair] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes of the pixels that are held."""
        return self._bytes

    def read(self, tile: Tile) -> Pair:
        """Return a tile's pair, decoded anew where it is not held. Two threads may decode the same one at a time."""
        with self._lock:
            held = self._pairs.get(tile)
            if held is not None:
                self._pairs.move_to_end(tile)
                return held
        pair = tile.read()
        with self._lock:
            self._hold(tile, pair)
        return pair

    def _hold(self, tile: Tile, pair: Pair) -> None:
        if tile in self._pairs:
            return
        self._pairs[tile] = pair
        self._bytes += _bytes_of(pair)
        while self._bytes > self._limit_bytes:
            self._bytes -= _bytes_of(self._pairs.popitem(last=False)[1])


def _bytes_of(pair: Pair) -> int:
    return pair.high.nbytes + pair.low.nbytes


class CachedPairs(Sequence[Pair]):
    """The pairs of some tiles, in their order, through a cache."""

    def __init__(self, tiles: Iterable[Tile], cache: PairCache) -> None:
        self._tiles = tuple(tiles)
        self._cache = cache

    @property
    def patients(self) -> frozenset[str]:
        """Whose tiles they are; reads no pixels."""
        return frozenset(tile.patient for tile in self._tiles)

    def __len__(self) -> int:
        return len(self._tiles)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> CachedPairs: ...
    def __getitem__(self, index: int | slice) -> Pair | CachedPairs:
        if isinstance(index, slice):
            return CachedPairs(self._tiles[index], self._cache)
        return self._cache.read(self._tiles[index])


@dataclass(frozen=True, slots=True)
class Sorted:
    """Tiles that are fit for use, and what is wrong with the others."""

    fit: tuple[Tile, ...]
    skipped: tuple[str, ...]


def sort_out(tiles: Iterable[Tile], cache: PairCache, fault: Callable[[Pair], str | None] = lambda _: None) -> Sorted:
    """Read every tile once and part the good ones from those that cannot be read or have a fault.

    One look at all of them before a training starts is what makes the counts, and the patients of the split, true; it
    also fills the cache.
    """
    fit: list[Tile] = []
    skipped: list[str] = []
    for tile in tiles:
        try:
            reason = fault(cache.read(tile))
        except TrainingError as error:
            reason = error.what
        if reason is None:
            fit.append(tile)
        else:
            skipped.append(reason if tile.name in reason else f"{tile.name}: {reason}")
    return Sorted(tuple(fit), tuple(skipped))


def report_skipped(source: str, skipped: Sequence[str], kept: int) -> None:
    """Say in the log how many tiles of a source are not used, and why the first of them are not."""
    if skipped:
        first = "; ".join(skipped[:3]) + ("; ..." if len(skipped) > 3 else "")
        _log.warning("%s: %d of %d tiles are not used: %s", source, len(skipped), len(skipped) + kept, first)


def refuse_leaks(sets: Sequence[PairSet]) -> None:
    """Raise if a patient is in two different parts of two sources: what one trains on, another must not test.

    Within one source the split sees to it; a slide that is parted by its width tests on its own patient and says so.

    Raises
    ------
    TrainingError
        that names the patients and the parts.
    """
    for one, other in permutations(sets, 2):
        if one.parted and one.parted == other.parted:
            continue
        for part, other_part in combinations(PARTS, 2):
            names = f"{part} of one source", f"{other_part} of another"
            refuse_shared_patients(
                **dict(zip(names, (_patients(one, part), _patients(other, other_part)), strict=True))
            )


def _patients(one: PairSet, part: str) -> frozenset[str]:
    pairs: Sequence[Pair] = getattr(one, part)
    return pairs.patients if isinstance(pairs, CachedPairs) else frozenset(pair.patient for pair in pairs)
