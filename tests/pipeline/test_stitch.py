from pathlib import Path

import numpy as np
import pytest

from pipeline.geometry import Box, Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.stitch import Block, block_table, fold, table_blocks
from pipeline.store import Layer, SlideStore

FRAME = Frame(300, 600, 4.0)


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    store = SlideStore(tmp_path / "a.ome.zarr")
    store.create_heatmap("heatmaps/x", Pyramid.over(FRAME), Heatmap(("p",), FRAME), 256)
    return store.layer("heatmaps/x/0")


def constant(box: Box, value: float) -> Block:
    return Block(box, np.full((1, 1, 1), value, np.float32))


def test_overlapping_patches_are_averaged_and_the_rest_stays_nan(layer: Layer) -> None:
    fold([constant(Box(0, 200, 100, 100), 1.0), constant(Box(50, 200, 100, 100), 0.0)], layer, 256)
    seen = layer.read(FRAME.box)[..., 0]
    assert (seen[:50, 200:300] == 1).all()
    assert (seen[50:100, 200:300] == 0.5).all()
    assert (seen[100:150, 200:300] == 0).all()
    assert np.isnan(seen[:, :200]).all()
    assert np.isnan(seen[150:]).all()


def test_blocks_are_laid_where_they_belong_across_cores(layer: Layer) -> None:
    values = np.random.default_rng(0).random((90, 150, 1), dtype=np.float32)
    fold([Block(Box(200, 180, 90, 150), values)], layer, 256)
    np.testing.assert_array_equal(layer.read(Box(200, 180, 90, 150)), values)


def test_blocks_survive_being_rows() -> None:
    blocks = [
        Block(Box(1, 2, 3, 4), np.arange(24, dtype=np.float32).reshape(3, 4, 2)),
        Block(Box(5, 6, 1, 1), np.array([[[1, np.nan]]], np.float32)),
    ]
    for before, after in zip(blocks, table_blocks(block_table(blocks)), strict=True):
        assert before.box == after.box
        np.testing.assert_array_equal(before.values, after.values)
