"""WA-SRGAN's generator: its blocks, its anchors, its strides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from models.super_resolution import Upsampling
from models.wide_activation import WideActivation, WideActivationConfig, WideBlock
from tests.models.generators import WHOLE_IMAGE, lively

SMALL: dict[str, Any] = {"blocks": 1, "channels": 8, "window_px": 8, "anchor_side": 4}


def test_a_block_widens_four_times_and_narrows_to_0_8() -> None:
    block = WideBlock(WideActivationConfig(norm="none"))
    shapes = [tuple(layer.weight.shape) for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert shapes == [(256, 64, 1, 1), (51, 256, 1, 1), (64, 51, 3, 3)]


def test_without_widening_channels_stay() -> None:
    block = WideBlock(WideActivationConfig(norm="none", expansion=1))
    assert block.get_submodule("widen").weight.shape == (64, 64, 1, 1)


def test_weight_normalisation_is_of_the_body_alone() -> None:
    network = WideActivation(WideActivationConfig(**SMALL, norm="wn"))
    normed = [name for name, part in network.named_modules() if parametrize.is_parametrized(part)]
    assert normed == ["body.0.widen", "body.0.narrow", "body.0.conv", "neck"]


@pytest.mark.parametrize(
    ("attention", "stride_px"), [("off", 1), ("window", 8), ("tile", 4), ("anchor", 1), ("global", 1)]
)
def test_tiles_lie_on_the_grid_of_windows(attention: Any, stride_px: int) -> None:
    assert WideActivation(WideActivationConfig(**SMALL, attention=attention)).stride_px == stride_px


def test_anchors_fixed_on_an_image_change_nothing_there() -> None:
    network = lively(*WHOLE_IMAGE["wide-anchor-live"])
    assert isinstance(network, WideActivation)
    image = torch.rand(1, 3, 12, 16)
    with torch.no_grad():
        live = network(image)
        network.fix_anchors(image)
        torch.testing.assert_close(network(image), live)
    assert network.config.anchors == "fixed"
    assert "attention.anchors" in network.state_dict()


def test_fixing_anchors_leaves_the_training_as_it_was() -> None:
    network = WideActivation(WideActivationConfig(**SMALL, attention="anchor", norm="bn")).train()
    means = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network.fix_anchors(torch.rand(4, 3, 8, 8))
    assert network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in means.items())


def test_only_anchors_can_be_fixed() -> None:
    with pytest.raises(ValueError, match="window"):
        WideActivation(WideActivationConfig(**SMALL)).fix_anchors(torch.rand(1, 3, 8, 8))


def test_without_a_residual_the_output_lies_between_0_and_1() -> None:
    torch.manual_seed(0)
    output = WideActivation(WideActivationConfig(**SMALL))(100 * torch.randn(1, 3, 8, 8))
    assert output.min() >= 0
    assert output.max() <= 1
    assert output.std() > 0.1


def test_upsampling_starts_constant_on_each_2_x_2_cell() -> None:
    torch.manual_seed(0)
    stage = WideActivation(WideActivationConfig(blocks=1)).up[0]
    assert isinstance(stage, Upsampling)
    enlarged = stage(torch.randn(1, 64, 9, 9))
    cells = enlarged.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert enlarged.std() > 0.1
    torch.testing.assert_close(cells.amin(-1), cells.amax(-1))


@pytest.mark.parametrize(
    "wrong",
    [{"blocks": 0}, {"expansion": 0}, {"norm": "gn"}, {"activation": "gelu"}, {"res_scale": float("nan")},
     {"attention": "some"}, {"window_px": 7}, {"window_px": 512}, {"anchor_side": 0}, {"anchors": "lost"},
     {"residual": "nearest"}],
)  # fmt: skip
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WideActivationConfig(**wrong)
