"""nuclei.parquet (GeoParquet 1.1): written in bounded memory, read by place, and drawn.

Rows are sorted by centroid, y before x, whatever tiles and batches they came from; row i (from 1) is label i of the
label image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from pipeline.durable import whole_or_absent
from pipeline.geometry import Box, Frame
from pipeline.nuclei_measure import SCHEMA
from pipeline.nuclei_outline import Rings, draw

ROWS_A_GROUP = 16_384

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_FILE_SCHEMA = SCHEMA.append(pa.field("bbox", pa.struct([(side, pa.float64()) for side in _SIDES])))


def write_geoparquet(tables: Iterable[pa.Table], path: Path, provenance: Mapping[str, Any] | None = None) -> int:
    """Write rows of `nuclei_measure.SCHEMA` in the order in which they come, with a `bbox` each; return how many.

    The file holds groups of ROWS_A_GROUP rows, however many each table has, and appears under its name when complete.
    `provenance` is kept as JSON in the file's metadata, under `histoloom`.
    """
    extent = np.array([[np.inf, np.inf], [-np.inf, -np.inf]])
    count = 0
    # Without Arrow's own copy of the schema, which would hide metadata that is added last from `pyarrow.read_schema`.
    options = {"compression": "zstd", "store_schema": False}
    with whole_or_absent(path) as draft, pq.ParquetWriter(draft, _FILE_SCHEMA, **options) as writer:
        for table in _regroup(tables, ROWS_A_GROUP):
            bounds = shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy()))
            extent[0] = np.minimum(extent[0], bounds[:, :2].min(axis=0))
            extent[1] = np.maximum(extent[1], bounds[:, 2:].max(axis=0))
            bbox = pa.StructArray.from_arrays(list(bounds.T), _SIDES)
            writer.write_table(table.append_column(_FILE_SCHEMA.field("bbox"), bbox))
            count += table.num_rows
        metadata = {"geo": _geo_metadata(extent.ravel() if count else None), "histoloom": dict(provenance or {})}
        writer.add_key_value_metadata({key: json.dumps(value, sort_keys=True) for key, value in metadata.items()})
    return count


def _geo_metadata(extent: NDArray[np.float64] | None) -> dict[str, Any]:
    """https://geoparquet.org/releases/v1.1.0/: coordinates are px, so there is no reference system on Earth."""
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "crs": None,
        "orientation": "counterclockwise",
        "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
    }
    if extent is not None:
        geometry["bbox"] = extent.tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


def _regroup(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` rows, the last one smaller; none is empty."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        if not table.num_rows:
            continue
        waiting.append(table.select(SCHEMA.names).cast(SCHEMA))
        count += table.num_rows
        if count >= rows:
            joined = pa.concat_tables(waiting).combine_chunks()
            whole = count - count % rows
            yield from (joined.slice(begin, rows) for begin in range(0, whole, rows))
            waiting, count = [joined.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def merge_fragments(fragments: Sequence[Path], path: Path, provenance: Mapping[str, Any] | None = None) -> int:
    """Write the rows of Parquet fragments as one GeoParquet file sorted by centroid, y before x; return how many.

    The order depends on the nuclei alone, neither on tiles nor on batches. In memory are three numbers a row, a group
    of rows, and the fragments that it comes from, which are few when fragments are compact in space.
    """
    fragments = [fragment for fragment in fragments if pq.read_metadata(fragment).num_rows]
    return write_geoparquet(_sorted_groups(fragments), path, provenance)


_ORDER = ("area_level0_px", "centroid_x_level0_px", "centroid_y_level0_px")  # the last decides first


def _sorted_groups(fragments: Sequence[Path]) -> Iterator[pa.Table]:
    if not fragments:
        return
    keys = [pq.read_table(fragment, columns=list(_ORDER)) for fragment in fragments]
    order = np.lexsort([np.concatenate([key[name].to_numpy() for key in keys]) for name in _ORDER])
    source = np.repeat(np.arange(len(keys)), [key.num_rows for key in keys])
    row = np.concatenate([np.arange(key.num_rows) for key in keys])
    read = lru_cache(maxsize=16)(pq.read_table)
    for begin in range(0, len(order), ROWS_A_GROUP):
        wanted = order[begin : begin + ROWS_A_GROUP]
        by_source = np.argsort(source[wanted], kind="stable")
        parts = [
            read(fragments[number]).take(row[wanted[by_source][source[wanted[by_source]] == number]])
            for number in np.unique(source[wanted])
        ]
        yield pa.concat_tables(parts).take(np.argsort(by_source))


class NucleiIndex:
    """Finds nuclei of a nuclei.parquet by place, from the boxes that the file keeps of rows and of groups of rows."""

    def __init__(self, path: Path, rows_before: Sequence[int], boxes: NDArray[np.float64]) -> None:
        """`open` makes one; `boxes` are those of the groups of rows, (groups, 4), as (xmin, ymin, xmax, ymax)."""
        self.path = path
        self._rows_before = rows_before
        self._boxes = boxes
        # A tile touches a group or two, the next tile mostly the same.
        self._read = lru_cache(maxsize=4)(self._read_group)

    @classmethod
    def open(cls, path: Path) -> NucleiIndex:
        """Read where groups of rows lie; rows are read when they are asked for."""
        metadata = pq.read_metadata(path)
        rows_before, boxes = [0], []
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            columns = (group.column(i) for i in range(group.num_columns))
            bounds = {column.path_in_schema: column.statistics for column in columns}
            boxes.append(
                [bounds["bbox.xmin"].min, bounds["bbox.ymin"].min, bounds["bbox.xmax"].max, bounds["bbox.ymax"].max]
            )
            rows_before.append(rows_before[-1] + group.num_rows)
        return cls(path, rows_before, np.reshape(boxes, (-1, 4)))

    def __len__(self) -> int:
        """Nuclei in the file."""
        return self._rows_before[-1]

    def touching(self, box: Box) -> tuple[NDArray[np.object_], NDArray[np.uint32]]:
        """WKB polygons whose bounding boxes touch `box` of level-0 px, and their row numbers, from 1."""
        geometry: list[NDArray[np.object_]] = [np.zeros(0, object)]
        numbers: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
        for group in np.flatnonzero(_touches(self._boxes, box)).tolist():
            polygons, boxes = self._read(group)
            rows = np.flatnonzero(_touches(boxes, box))
            geometry.append(polygons[rows])
            numbers.append((rows + self._rows_before[group] + 1).astype(np.uint32))
        return np.concatenate(geometry), np.concatenate(numbers)

    def _read_group(self, group: int) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
        """WKB polygons and their boxes, (rows, 4), of one group of rows."""
        table = pq.ParquetFile(self.path).read_row_group(group, columns=["geometry", "bbox"], use_threads=False)
        sides = table["bbox"].combine_chunks().flatten()
        return table["geometry"].to_numpy(), np.stack([side.to_numpy() for side in sides], 1)


def _touches(boxes: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    xmin, ymin, xmax, ymax = boxes.T
    touches: NDArray[np.bool_] = (xmin <= box.x_end) & (xmax >= box.x) & (ymin <= box.y_end) & (ymax >= box.y)
    return touches


def draw_labels(
    geometry: NDArray[np.object_], numbers: NDArray[np.uint32], box: Box, frame: Frame, level0: Frame
) -> NDArray[np.uint32]:
    """Draw WKB polygons in level-0 px as labels, (y, x) over `box` of `frame`; the same pixels in whatever box.

    A pixel takes the number of the polygon that holds its centre; where polygons overlap, the lowest number.
    """
    if not len(geometry):
        return np.zeros(box.shape, np.uint32)
    _, corners, (ring_start, polygon_start) = shapely.to_ragged_array(shapely.from_wkb(geometry))
    x, y = corners.T * frame.pixels_per(level0)
    ring_of_corner = np.repeat(np.arange(len(ring_start) - 1), np.diff(ring_start))
    edge = np.flatnonzero(ring_of_corner[1:] == ring_of_corner[:-1])
    polygon_of_ring = np.repeat(np.arange(len(polygon_start) - 1), np.diff(polygon_start))
    rings = Rings(y[edge], x[edge], y[edge + 1], x[edge + 1], polygon_of_ring[ring_of_corner[edge]])
    return draw(rings, np.asarray(numbers, np.uint32), box)
