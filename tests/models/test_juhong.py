"""The generator of Juhong et al."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.juhong import Juhong, JuhongConfig, SingleBlock


def test_a_block_normalises_behind_its_activation() -> None:
    torch.manual_seed(0)
    block, features = SingleBlock(8).train(), torch.randn(4, 8, 9, 9)
    added = block(features) - features
    torch.testing.assert_close(added.mean((0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(added.var((0, 2, 3), unbiased=False), torch.ones(8), rtol=0, atol=1e-2)
    assert added.amin() > -3  # what ReLU leaves has no long tail below


def test_the_output_lies_between_0_and_1() -> None:
    torch.manual_seed(0)
    output = Juhong(JuhongConfig(blocks=1, channels=8, up_channels=8))(100 * torch.randn(1, 3, 8, 8))
    assert output.min() >= 0
    assert output.max() <= 1
    assert output.std() > 0.1


def test_grey_is_the_origin_of_what_it_computes_with() -> None:
    torch.manual_seed(0)
    network = Juhong(JuhongConfig(blocks=1, channels=8, up_channels=8)).eval()
    seen: list[torch.Tensor] = []
    network.head[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4))
    assert seen[0][0, :, 0, 0].tolist() == [-1, 0, 1]


@pytest.mark.parametrize("wrong", [{"blocks": 0}, {"up_channels": 10**9}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JuhongConfig(**wrong)
