"""Lay what batches found side by side into a map of the whole slide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.geometry import Box
from pipeline.store import Layer


@dataclass(frozen=True, slots=True)
class Block:
    """Values (y, x, c) over a box of a map; blocks of one map do not overlap."""

    box: Box
    values: NDArray[np.float32]


_BLOCK_SCHEMA = pa.schema(
    [("y", pa.int32()), ("x", pa.int32()), ("height", pa.int32()), ("width", pa.int32()), ("values", pa.binary())]
)


def block_table(blocks: Iterable[Block]) -> pa.Table:
    """Blocks as rows; the inverse of `table_blocks`."""
    rows = [
        {"y": b.box.y, "x": b.box.x, "height": b.box.height, "width": b.box.width,
         "values": np.ascontiguousarray(b.values, "<f4").tobytes()}
        for b in blocks
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=_BLOCK_SCHEMA)


def table_blocks(table: pa.Table) -> list[Block]:
    """Rows as blocks; the inverse of `block_table`."""
    blocks = []
    for row in table.to_pylist():
        box = Box(row["y"], row["x"], row["height"], row["width"])
        blocks.append(Block(box, np.frombuffer(row["values"], "<f4").reshape(*box.shape, -1)))
    return blocks


def lay_blocks(blocks: Sequence[Block], layer: Layer, core_px: int) -> None:
    """Write blocks into a map; pixels that none covers stay NaN. One core is in memory at a time."""
    for core in layer.frame.partition(core_px):
        touching = [block for block in blocks if block.box.intersects(core)]
        if touching:
            layer.write(core, _laid(core, touching, layer.channels))


def _laid(core: Box, blocks: Iterable[Block], channels: int) -> NDArray[np.float32]:
    laid = np.full((*core.shape, channels), np.nan, np.float32)
    for block in blocks:
        shared = core.clip(block.box)
        laid[shared.relative_to(core).slices()] = block.values[shared.relative_to(block.box).slices()]
    return laid
