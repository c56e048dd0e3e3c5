"""ESRGAN's generator, in a small size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from models.blocks import parameter_count
from models.rrdb import DenseBlock, ResidualDenseBlock, Rrdb, RrdbConfig


def test_esrgan_itself_has_16_7_million_parameters() -> None:
    with torch.device("meta"):
        assert parameter_count(Rrdb(RrdbConfig(scale=4, blocks=23))) == 16_697_987


def test_each_convolution_of_a_dense_block_reads_all_before_it() -> None:
    torch.manual_seed(0)
    block, features = DenseBlock(8, 4), torch.randn(1, 8, 6, 6)
    drawn = [features]
    for layer in block.grow:
        drawn.append(functional.leaky_relu(layer(torch.cat(drawn, 1)), 0.2))
    torch.testing.assert_close(block(features), features + 0.2 * block.join(torch.cat(drawn, 1)))


def test_three_dense_blocks_and_a_skip_make_a_block() -> None:
    torch.manual_seed(0)
    block, features = ResidualDenseBlock(8, 4), torch.randn(1, 8, 6, 6)
    assert len(block.dense) == 3
    torch.testing.assert_close(block(features), features + 0.2 * block.dense(features))


@pytest.mark.parametrize("wrong", [{"blocks": 0}, {"growth": 0}, {"residual": "nearest"}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RrdbConfig(**wrong)
