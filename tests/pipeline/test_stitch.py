from pathlib import Path

import numpy as np
import pytest

from pipeline.geometry import Box, Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.stitch import Block, block_table, lay_blocks, table_blocks
from pipeline.store import Layer, SlideStore

FRAME = Frame(300, 600, 4.0)


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    store = SlideStore(tmp_path / "a.ome.zarr")
    store.create_heatmap("qc/x", Pyramid.over(FRAME), Heatmap(("p",)), 256)
    return store.layer("qc/x/0")


def test_blocks_are_laid_where_they_belong_across_cores_and_the_rest_stays_nan(layer: Layer) -> None:
    values = np.random.default_rng(0).random((90, 150, 1), dtype=np.float32)
    lay_blocks([Block(Box(200, 180, 90, 150), values), Block(Box(0, 330, 10, 20), values[:10, :20])], layer, 256)
    np.testing.assert_array_equal(layer.read(Box(200, 180, 90, 150)), values)
    np.testing.assert_array_equal(layer.read(Box(0, 330, 10, 20)), values[:10, :20])
    assert np.isfinite(layer.read(FRAME.box)).sum() == 90 * 150 + 10 * 20


def test_blocks_survive_being_rows() -> None:
    blocks = [
        Block(Box(1, 2, 3, 4), np.arange(24, dtype=np.float32).reshape(3, 4, 2)),
        Block(Box(5, 6, 1, 1), np.array([[[1, np.nan]]], np.float32)),
    ]
    for before, after in zip(blocks, table_blocks(block_table(blocks)), strict=True):
        assert before.box == after.box
        np.testing.assert_array_equal(before.values, after.values)
