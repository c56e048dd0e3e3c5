"""The patch classifier that joins two ResNets at their last stage, as published."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models.blocks import parameter_count
from models.cost import multiply_adds
from models.fold import fold
from models.ganrest import Ganrest, GanrestConfig

SMALL = GanrestConfig(depths_a=(1, 1, 1, 1), depths_b=(1, 2, 1, 1), block="basic", width=8, stem="small")


@pytest.fixture
def small() -> Ganrest:
    torch.manual_seed(0)
    return Ganrest(SMALL)


def test_the_published_one_has_90_million_parameters_and_16_thousand_million_multiply_adds() -> None:
    with torch.device("meta"):
        network = Ganrest(GanrestConfig())
    assert parameter_count(network) == 90_050_690
    assert multiply_adds(network, 224) / 1e9 == pytest.approx(16.01, abs=0.005)


def test_the_published_one_joins_4096_channels_to_2048_and_drops_half() -> None:
    with torch.device("meta"):
        network = Ganrest(GanrestConfig())
    assert network.get_parameter("join.0.weight").shape == (2048, 4096, 1, 1)
    assert network.head[0].p == 0.5
    assert network.get_parameter("head.1.weight").shape == (2, 2048)


@pytest.mark.parametrize("side_px", [32, 50, 65])
@pytest.mark.parametrize("stem", ["small", "imagenet"])
def test_any_side_from_32_px_gives_one_row_of_logits_a_patch(side_px: int, stem: Any) -> None:
    network = Ganrest(GanrestConfig(classes=3, depths_a=(1, 1, 1, 1), depths_b=(1, 1, 1, 1), width=4, stem=stem)).eval()
    assert network(torch.rand(2, 3, side_px, side_px)).shape == (2, 3)


def test_logits_follow_from_both_backbones_last_stages(small: Ganrest) -> None:
    small.eval()
    image = torch.rand(2, 3, 40, 40)
    joint = torch.cat([backbone.stages(image)[3] for backbone in (small.backbone_a, small.backbone_b)], dim=1)
    torch.testing.assert_close(small(image), small.head[1](small.join(joint).mean((2, 3))))


def test_every_parameter_learns_but_the_bias_that_normalisation_takes_away(small: Ganrest) -> None:
    small(torch.rand(4, 3, 40, 40)).square().sum().backward()
    still = [
        name
        for name, one in small.named_parameters()
        if one.grad is None or one.grad.abs().max() < 1e-6 * max(1.0, float(one.detach().abs().max()))
    ]
    assert still == ["join.0.bias"]


def test_folding_changes_nothing_but_rounding(small: Ganrest) -> None:
    image = torch.rand(4, 3, 40, 40)
    small.train()(image)  # statistics that are not those of a fresh network
    with torch.no_grad():
        torch.testing.assert_close(fold(small)(image), small.eval()(image), atol=1e-4, rtol=1e-4)


def test_bf16_weights_take_and_give_fp32(small: Ganrest) -> None:
    image = torch.rand(2, 3, 40, 40)
    assert small.eval().to(torch.bfloat16)(image).dtype == torch.float32


def test_the_head_ends_with_the_classes(small: Ganrest) -> None:
    linear = [module for module in small.head.modules() if isinstance(module, nn.Linear)]
    assert linear[-1].out_features == SMALL.classes


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"dropout": 1.0}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GanrestConfig(**wrong)


def test_an_impossible_backbone_is_refused_when_it_is_built() -> None:
    with pytest.raises(ValueError, match="width"):
        Ganrest(GanrestConfig(width=0))
