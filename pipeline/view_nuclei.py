"""Nuclei of a nuclei.parquet for a viewer: those in a box, as one binary answer; one by its row; the one at a point.

Boxes, centroids and probabilities of all nuclei of a table are in memory, 29 bytes a nucleus, as long as there is room
for them among those of other slides. Outlines are read a group of rows at a time; since rows are sorted by y, a view of
the slide touches few groups.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import IO, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from pipeline.record import number, plain
from pipeline.view_cache import ByteCache

Opener = Callable[[], IO[bytes]]
"""Opens the table anew."""

Value = TypeVar("Value")

MAGIC = 0x314E4C48
MOST_OUTLINES = 20_000
# A nucleus of fewer screen pixels across is a dot: how many there are says more than how each looks.
_LEAST_SCREEN_PX = 3.0
# A cell of the grid of counts, in screen px, and the most cells a side.
_CELL_SCREEN_PX = 8.0
_MOST_CELLS = 512

_RECORD = np.dtype(
    [("row", "<u4"), ("cx", "<f4"), ("cy", "<f4"), ("probability", "<f4"), ("class", "<u4"), ("points", "<u4")]
)
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_CLASS_COLUMNS = ("class", "classification", "cell_type")
_NO_CLASS = "not classified"
# Rows that are counted at a time: of all at once, what is reckoned on the way would be larger than the index.
_COUNTED_ROWS = 1 << 18
# Outlines that are decoded at a time: as shapes they take ten times what their points do.
_DECODED_ROWS = 4096

_OUTLINES = ByteCache["_Group"](32 << 20)
"""Groups of rows read lately, of all slides."""

_INDICES = ByteCache["_Index"](96 << 20, last_always=True)
"""Of the slides looked at lately."""

# What is read takes more than its size meanwhile: one at a time is read, and who asks for the same finds it read.
_INDEXING, _DECODING = Lock(), Lock()


@dataclass(frozen=True, slots=True)
class View:
    """A box of level-0 px, and how many of them span a pixel of the screen."""

    x0: float
    y0: float
    x1: float
    y1: float
    px: float


@dataclass(frozen=True, slots=True)
class _Group:
    """The outlines of one group of rows."""

    starts: NDArray[np.int64]
    """(rows + 1): where the points of each row begin."""
    points: NDArray[np.float64]
    """(points, (x, y)) in level-0 px."""


@dataclass(frozen=True, slots=True)
class _Index:
    """All nuclei, in the order of rows."""

    boxes: NDArray[np.float32]
    """(4, rows): xmin, ymin, xmax, ymax in level-0 px, rounded outward by at most 0.01 px."""
    centroids: NDArray[np.float32]
    """(2, rows): x, y in level-0 px."""
    probability: NDArray[np.float32]
    classes: NDArray[np.uint8]
    names: tuple[str, ...]
    size_px: float
    """Across a nucleus in the middle by size, in level-0 px."""

    @property
    def bytes(self) -> int:
        return self.boxes.nbytes + self.centroids.nbytes + self.probability.nbytes + self.classes.nbytes


class NucleiView:
    """The nuclei of one table. Safe to share between threads; the index is made when it is needed."""

    def __init__(self, opener: Opener, key: str) -> None:
        """`key` names the content of the table among those of all slides."""
        self._opener, self._key = opener, key
        with self._table() as table:
            metadata = table.metadata
            self.columns = [plain(name) for name in table.schema_arrow.names if name not in {"geometry", "bbox"}]
            self._class_column = next((name for name in _CLASS_COLUMNS if name in table.schema_arrow.names), None)
            rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._first = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])

    def __len__(self) -> int:
        """Nuclei in the table."""
        return int(self._first[-1])

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; one where the table knows none."""
        return self._index.names if self._class_column else ("Nucleus",)

    def answer(self, view: View) -> bytes:
        """Outlines of the nuclei that touch a view, or how many there are in each cell of a grid over it.

        The bytes are little-endian: uint32 magic, nuclei, points, mode; float32 x and y of the origin. Mode 0: of each
        nucleus uint32 row (from 1), float32 centroid x and y from the origin and probability, uint32 class and number
        of points; then all points, float32 x and y from the origin. Mode 1, where outlines would be too many or too
        small to see: uint32 columns and rows, float32 side of a cell in level-0 px, uint32 centroids in each cell.
        """
        index = self._index
        if index.size_px / view.px >= _LEAST_SCREEN_PX:
            rows = np.flatnonzero(_touching(index.boxes, view))
            if len(rows) <= MOST_OUTLINES:
                return self._outlines(index, rows, view)
        return _grid(index, view)

    def row(self, row: int) -> dict[str, Any] | None:
        """What the table says of a nucleus by its row, from 1; None where there is none."""
        if not 1 <= row <= len(self):
            return None
        group = int(np.searchsorted(self._first, row - 1, side="right")) - 1
        place = row - 1 - int(self._first[group])
        with self._table() as table:
            names = [name for name in table.schema_arrow.names if name not in {"geometry", "bbox"}]
            found = table.read_row_group(group, columns=names, use_threads=False).slice(place, 1).to_pylist()[0]
        outlines = self._group(group)
        outline = outlines.points[outlines.starts[place] : outlines.starts[place + 1]]
        columns = {plain(name): _shown(value) for name, value in found.items()}
        return {"row": row, "columns": columns, "outline": outline.tolist()}

    def at(self, x: float, y: float) -> dict[str, Any] | None:
        """The same for the nucleus that holds a point of level-0 px; of several the first; None where there is none."""
        for place in np.flatnonzero(_touching(self._index.boxes, View(x, y, x, y, 1.0))).tolist():
            group = int(np.searchsorted(self._first, place, side="right")) - 1
            outlines, inside = self._group(group), place - int(self._first[group])
            ring = outlines.points[outlines.starts[inside] : outlines.starts[inside + 1]]
            if len(ring) >= 4 and shapely.covers(shapely.polygons(ring), shapely.points(x, y)):
                return self.row(place + 1)
        return None

    @property
    def _index(self) -> _Index:
        def make() -> tuple[_Index, int]:
            index = self._read_index()
            return index, index.bytes

        return _read_once(_INDICES, self._key, make, _INDEXING)

    @contextmanager
    def _table(self) -> Iterator[pq.ParquetFile]:
        with self._opener() as file, pq.ParquetFile(file) as table:
            yield table

    def _read_index(self) -> _Index:
        """Read the small columns, a group of rows at a time."""
        count = len(self)
        boxes, centroids = np.empty((4, count), np.float32), np.empty((2, count), np.float32)
        probability, classes = np.ones(count, np.float32), np.zeros(count, np.uint8)
        names: dict[str, int] = {}
        with self._table() as table:
            there = set(table.schema_arrow.names)
            wanted = ["bbox", "centroid_x_level0_px", "centroid_y_level0_px"]
            wanted += [name for name in ("probability", self._class_column) if name is not None and name in there]
            for group in range(table.metadata.num_row_groups):
                rows = table.read_row_group(group, columns=wanted, use_threads=False)
                part = slice(int(self._first[group]), int(self._first[group + 1]))
                sides = rows["bbox"].combine_chunks().flatten()
                for side, values in enumerate(sides):
                    boxes[side, part] = values.to_numpy(zero_copy_only=False)
                for axis, name in enumerate("xy"):
                    centroids[axis, part] = rows[f"centroid_{name}_level0_px"].to_numpy()
                if "probability" in there:
                    probability[part] = rows["probability"].to_numpy()
                if self._class_column:
                    classes[part] = _codes(rows[self._class_column], names)
        boxes[:2] -= 0.01  # what float32 may round away
        boxes[2:] += 0.01
        size_px = float(np.median((boxes[2:] - boxes[:2]).mean(axis=0))) if count else 1.0
        pa.default_memory_pool().release_unused()
        return _Index(boxes, centroids, probability, classes, tuple(names) or ("Nucleus",), size_px)

    def _outlines(self, index: _Index, rows: NDArray[np.int64], view: View) -> bytes:
        origin = np.floor([view.x0, view.y0])
        records = np.zeros(len(rows), _RECORD)
        records["row"] = rows + 1
        records["cx"], records["cy"] = index.centroids[:, rows] - origin[:, None]
        records["probability"], records["class"] = index.probability[rows], index.classes[rows]
        parts = []
        groups = np.searchsorted(self._first, rows, side="right") - 1
        for number_ in np.unique(groups).tolist():
            group, chosen = self._group(number_), groups == number_
            inside = rows[chosen] - self._first[number_]
            begin, counts = group.starts[inside], group.starts[inside + 1] - group.starts[inside]
            records["points"][chosen] = counts
            shift = np.concatenate([[0], np.cumsum(counts)[:-1]])
            parts.append(group.points[np.arange(counts.sum()) + np.repeat(begin - shift, counts)] - origin)
        points = np.concatenate(parts).astype("<f4") if parts else np.zeros((0, 2), "<f4")
        return _header(len(rows), len(points), 0, origin) + records.tobytes() + points.tobytes()

    def _group(self, group: int) -> _Group:
        def make() -> tuple[_Group, int]:
            with self._table() as table:
                column = table.read_row_group(group, columns=["geometry"], use_threads=False)["geometry"]
            parts, counts = [np.zeros((0, 2))], [np.zeros(1, np.int64)]
            for begin in range(0, len(column), _DECODED_ROWS):
                wkb = column.slice(begin, _DECODED_ROWS).to_numpy()
                rings = shapely.get_exterior_ring(shapely.from_wkb(wkb))
                parts.append(shapely.get_coordinates(rings))
                counts.append(shapely.get_num_coordinates(rings))
            del column
            pa.default_memory_pool().release_unused()
            points, starts = np.concatenate(parts), np.cumsum(np.concatenate(counts))
            return _Group(starts, points), points.nbytes + starts.nbytes

        return _read_once(_OUTLINES, (self._key, group), make, _DECODING)


def _read_once(cache: ByteCache[Value], key: Hashable, make: Callable[[], tuple[Value, int]], reading: Lock) -> Value:
    kept = cache.known(key)
    if kept is not None:
        return kept
    with reading:
        return cache.get(key, make)


def _touching(boxes: NDArray[np.float32], view: View) -> NDArray[np.bool_]:
    xmin, ymin, xmax, ymax = boxes
    touching: NDArray[np.bool_] = ymin <= view.y1
    touching &= ymax >= view.y0
    touching &= xmin <= view.x1
    touching &= xmax >= view.x0
    return touching


def _header(count: int, points: int, mode: int, origin: NDArray[np.float64]) -> bytes:
    return struct.pack("<4I2f", MAGIC, count, points, mode, *origin.tolist())


def _grid(index: _Index, view: View) -> bytes:
    """Counts over cells whose edges are multiples of their side, so that neighbouring views agree."""
    longest = max(view.x1 - view.x0, view.y1 - view.y0)
    cell = np.exp2(np.ceil(np.log2(max(view.px * _CELL_SCREEN_PX, longest / (_MOST_CELLS - 2), 1.0))))
    first = np.floor(np.array([view.x0, view.y0]) / cell).astype(np.int64)
    nx, ny = (np.ceil(np.array([view.x1, view.y1]) / cell).astype(np.int64) - first).clip(1, _MOST_CELLS).tolist()
    low, high = first * cell, (first + np.array([nx, ny])) * cell
    counts = np.zeros(nx * ny, np.int64)
    for begin in range(0, index.centroids.shape[1], _COUNTED_ROWS):
        x, y = index.centroids[:, begin : begin + _COUNTED_ROWS]
        inside = np.flatnonzero((y >= low[1]) & (y < high[1]) & (x >= low[0]) & (x < high[0]))
        columns = np.minimum((x[inside].astype(np.float64) / cell).astype(np.int64) - first[0], nx - 1)
        rows = np.minimum((y[inside].astype(np.float64) / cell).astype(np.int64) - first[1], ny - 1)
        counts += np.bincount(rows * nx + columns, minlength=nx * ny)
    head = _header(int(counts.sum()), 0, 1, low) + struct.pack("<2If", nx, ny, float(cell))
    return head + counts.astype("<u4").tobytes()


def _codes(column: pa.ChunkedArray, names: dict[str, int]) -> NDArray[np.uint8]:
    """The number of each row's class; `names` grows by what is new, up to 255."""
    encoded = column.combine_chunks().dictionary_encode()
    titles = [plain(name) for name in encoded.dictionary.to_pylist()]
    none = len(titles)
    if encoded.null_count:
        titles.append(_NO_CLASS)
    known = [names.setdefault(title, min(len(names), 255)) for title in titles]
    indices = encoded.indices.fill_null(none).to_numpy(zero_copy_only=False)
    codes: NDArray[np.uint8] = np.array(known, np.uint8)[indices]
    return codes


def _shown(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return plain(value) if isinstance(value, str) else None
