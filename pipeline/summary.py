"""A slide's tables and maps in a few numbers, read a part at a time, so that memory does not grow with the slide."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.histogram import Histogram
from pipeline.record import plain
from pipeline.store import Layer

Counts = NDArray[np.int64]

# Areas are counted in bins this fine, up to 1,000 um2: far more than any nucleus, finer than any page shows.
_BIN_UM2 = 0.5
_BINS = 2000
_MOST_BARS = 40
PROBABILITY_BINS = 50
_READ_PX = 1024
# Nuclei side by side, each as small as a nucleus can be, are fewer.
_MOST_PER_MM2 = 1_000_000


@dataclass(frozen=True, slots=True)
class Areas:
    """How large the nuclei are."""

    count: int
    lower_um2: float
    """A quarter of the nuclei are smaller."""
    median_um2: float
    upper_um2: float
    """A quarter of the nuclei are larger."""
    bar_um2: float
    bars: tuple[int, ...]
    """Nuclei from 0 on, a bar every bar_um2; the last bar also holds all that are larger."""


def summarise_areas(path: Path) -> Areas | None:
    """The areas in a nuclei.parquet; None where it holds no nucleus."""
    found = _count_column(path, "area_um2", Histogram(_BIN_UM2, _BINS))
    if not found.total:
        return None
    lower, median, upper, most = (found.quantile(share) for share in (0.25, 0.5, 0.75, 0.99))
    bar_um2 = next(width for width in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0) if most <= width * _MOST_BARS)
    bars = found.bars(round(bar_um2 / _BIN_UM2), max(1, int(-(-most // bar_um2))))
    return Areas(found.total, lower, median, upper, bar_um2, bars)


def summarise_probabilities(path: Path) -> Histogram | None:
    """How sure the network was of each nucleus in a nuclei.parquet; None where it holds no nucleus."""
    found = _count_column(path, "probability", Histogram(1 / PROBABILITY_BINS, PROBABILITY_BINS))
    return found if found.total else None


def _count_column(path: Path, column: str, histogram: Histogram) -> Histogram:
    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(columns=[column]):
            histogram.add(batch.column(column).drop_null().to_numpy(zero_copy_only=False).astype(np.float64))
    return histogram


@dataclass(frozen=True, slots=True)
class ClassShare:
    """One class of a classifier over all its patches."""

    label: str
    patches: int
    """Where it is the likeliest class."""
    share: float
    mean_probability: float


@dataclass(slots=True)
class _Tally:
    patches: Counts
    probability: NDArray[np.float64]
    present: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.present = np.zeros(len(self.patches), np.bool_)


def summarise_patches(path: Path) -> dict[str, list[ClassShare]]:
    """Classifier to the shares of its classes, from a patches.parquet; a class is a column `p_<class>` with values."""
    tallies: dict[str, _Tally] = {}
    with pq.ParquetFile(path) as table:
        columns = [name for name in table.schema_arrow.names if name.startswith("p_")]
        for batch in table.iter_batches(columns=["classifier", *columns]):
            _count_patches(batch, columns, tallies)
    labels = [column.removeprefix("p_") for column in columns]
    return {name: _class_shares(labels, tally) for name, tally in sorted(tallies.items())}


def _count_patches(batch: pa.RecordBatch, columns: list[str], tallies: dict[str, _Tally]) -> None:
    values = np.full((batch.num_rows, len(columns)), np.nan)
    for index, column in enumerate(columns):
        values[:, index] = batch.column(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    names = np.array([str(name) for name in batch.column("classifier").to_pylist()], dtype=object)
    for name in sorted(set(names.tolist())):
        rows = values[names == name]
        rows = rows[np.isfinite(rows).any(axis=1)]
        tally = tallies.setdefault(
            plain(name), _Tally(np.zeros(len(columns), np.int64), np.zeros(len(columns), np.float64))
        )
        if len(rows):
            tally.patches += np.bincount(np.nanargmax(rows, axis=1), minlength=len(columns))
            tally.probability += np.nansum(rows, axis=0)
            tally.present |= np.isfinite(rows).any(axis=0)


def _class_shares(labels: list[str], tally: _Tally) -> list[ClassShare]:
    total = max(1, int(tally.patches.sum()))
    return [
        ClassShare(plain(labels[index]), int(tally.patches[index]), float(tally.patches[index] / total),
                   float(tally.probability[index] / total))
        for index in np.flatnonzero(tally.present).tolist()
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Consistency:
    """How far super-resolved pixels, reduced again, are from the ones that were read; in grey levels of 255."""

    median: float
    most: float
    """99 % of the area differs by less."""
    spread: Histogram
    """Pixels of the map by their difference."""


def summarise_consistency(layer: Layer, mask: Layer | None = None) -> Consistency | None:
    """The root mean square differences in a consistency map, over tissue where there is a `mask` on its pixels.

    None where it is empty. Glass, which everything agrees on, would else have the word.
    """
    found = Histogram(255 / _BINS, _BINS)
    for box in layer.frame.partition(_READ_PX):
        values = layer.read(box)[..., 0].clip(0, 1) * 255
        found.add(values if mask is None else values[mask.read(box) > 0])
    if not found.total:
        return None
    return Consistency(found.quantile(0.5), found.quantile(0.99), found)


@dataclass(frozen=True, slots=True)
class Densities:
    """How close nuclei lie, over the pixels of tissue; to the nearest whole nucleus per mm2."""

    median_per_mm2: int
    p95_per_mm2: int
    """95 % of the tissue has no more."""


def summarise_density(layer: Layer) -> Densities | None:
    """The spread of a map of nuclei per mm2; None where it is empty."""
    counts = np.zeros(_MOST_PER_MM2 + 1, np.int64)
    for box in layer.frame.partition(_READ_PX):
        values = layer.read(box)
        values = values[np.isfinite(values)].clip(0, _MOST_PER_MM2)
        counts += np.bincount(values.round().astype(np.int64), minlength=len(counts))
    if not counts.any():
        return None
    below = np.cumsum(counts)
    median, p95 = (int(np.searchsorted(below, share * below[-1])) for share in (0.5, 0.95))
    return Densities(median, p95)
