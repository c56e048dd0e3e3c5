"""Fold what batches found into slide-level heat maps: overlapping patches are averaged, blocks lie side by side."""

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
    """Values over a box of a heat map: (y, x, c) over each pixel, or (1, 1, c), one value for all of them."""

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


def fold(blocks: Sequence[Block], layer: Layer, core_px: int) -> None:
    """Write the mean of the blocks that cover each pixel of a heat map; pixels that none covers stay NaN.

    One core is in memory at a time. Sums run in the order of the blocks, so that the same blocks give the same bytes.
    """
    for core in layer.frame.partition(core_px):
        touching = [block for block in blocks if block.box.intersects(core)]
        if touching:
            layer.write(core, _mean_over(core, touching, layer.channels))


def _mean_over(core: Box, blocks: Iterable[Block], channels: int) -> NDArray[np.float32]:
    total = np.zeros((*core.shape, channels))
    weight = np.zeros((*core.shape, 1))
    for block in blocks:
        shared = core.clip(block.box)
        place = shared.relative_to(core).slices()
        constant = block.values.shape[:2] == (1, 1)
        total[place] += block.values if constant else block.values[shared.relative_to(block.box).slices()]
        weight[place] += 1
    with np.errstate(invalid="ignore"):
        return (total / weight).astype(np.float32)
