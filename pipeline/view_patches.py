"""Classified patches of a patches.parquet at a point of the slide."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.record import number, plain

_PLACES = ("x_level0_px", "y_level0_px", "size_level0_px")
MOST_PATCHES = 64
"""In one answer; as many as could overlap, four times over."""


class PatchesView:
    """All patches of one table, in memory: 24 bytes and its probabilities a patch."""

    def __init__(self, file: IO[bytes]) -> None:
        with file, pq.ParquetFile(file) as table:
            columns = [name for name in table.schema_arrow.names if name.startswith("p_")]
            rows = table.read(columns=["classifier", *_PLACES, *columns], use_threads=False)
        self.names = [plain(name.removeprefix("p_")) for name in columns]
        encoded = rows["classifier"].cast(pa.string()).combine_chunks().dictionary_encode()
        self.classifiers = [plain(name) for name in encoded.dictionary.to_pylist()]
        self._classifier: NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
        self._x, self._y, self._size = (rows[name].cast(pa.float64()).to_numpy() for name in _PLACES)
        self._probabilities = np.stack(
            [rows[name].cast(pa.float32()).to_numpy() for name in columns] or [np.zeros(len(self), np.float32)], axis=-1
        )

    def __len__(self) -> int:
        """Patches in the table."""
        return len(self._x)

    def at(self, x: float, y: float) -> list[dict[str, Any]]:
        """The patches that hold a point of level-0 px, with the probabilities that are known of each."""
        holds = (self._x <= x) & (x < self._x + self._size) & (self._y <= y) & (y < self._y + self._size)
        return [self._row(row) for row in np.flatnonzero(holds)[:MOST_PATCHES].tolist()]

    def _row(self, row: int) -> dict[str, Any]:
        known = zip(self.names, map(number, self._probabilities[row].tolist()), strict=False)
        return {
            "classifier": self.classifiers[self._classifier[row]],
            "x_level0_px": float(self._x[row]),
            "y_level0_px": float(self._y[row]),
            "size_level0_px": float(self._size[row]),
            "probabilities": {name: value for name, value in known if value is not None},
        }
