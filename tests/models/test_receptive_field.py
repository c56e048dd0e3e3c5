"""How far networks look, measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.bundle import build_network
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.receptive_field import receptive_radius_px
from models.super_resolution import SuperResolver, SuperResolverConfig
from tests.models.examples import SMALL_UNET, card, network


@pytest.mark.parametrize(
    ("blocks", "scale", "radius_px"), [(16, 2, 40), (16, 4, 40), (16, 8, 40), (16, 16, 40), (8, 4, 24)]
)
def test_srresnet_looks_as_far_as_interval_arithmetic_says(blocks: int, scale: int, radius_px: int) -> None:
    measured = SuperResolver(SuperResolverConfig(blocks=blocks, scale=scale, channels=4))
    assert receptive_radius_px(measured, scale=scale) == radius_px


@pytest.mark.parametrize(("depth", "radius_px"), [(1, 9), (2, 23), (3, 51), (4, 107)])
def test_a_u_net_looks_farther_than_its_kernels_since_pooling_lies_on_a_grid(depth: int, radius_px: int) -> None:
    measured = NucleiUNet(NucleiUNetConfig(base=2, depth=depth))
    assert receptive_radius_px(measured, stride_px=measured.stride_px) == radius_px


@pytest.mark.parametrize(("kernel", "dilation", "radius_px"), [(1, 1, 0), (3, 1, 1), (3, 5, 5), (9, 4, 16)])
def test_one_convolution_looks_as_far_as_its_kernel(kernel: int, dilation: int, radius_px: int) -> None:
    layer = nn.Conv2d(3, 1, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    assert receptive_radius_px(layer) == radius_px


def test_the_longer_axis_and_the_longer_side_count() -> None:
    assert receptive_radius_px(nn.Conv2d(3, 1, (1, 7), padding=(0, 3))) == 3
    shifted = nn.Sequential(nn.ZeroPad2d((0, 4, 0, 0)), nn.Conv2d(3, 1, (1, 5)))  # looks at x .. x + 4
    assert receptive_radius_px(shifted) == 4


def test_global_operations_are_refused() -> None:
    class Centred(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image - image.mean((2, 3), keepdim=True)

    with pytest.raises(ValueError, match="everywhere"):
        receptive_radius_px(Centred())


def test_weights_and_mode_are_left_as_they_were() -> None:
    measured = build_network(card(SMALL_UNET))
    receptive_radius_px(measured, stride_px=4)
    assert measured.training
    assert {parameter.dtype for parameter in measured.parameters()} == {torch.float32}


def test_a_change_beyond_the_radius_changes_nothing_and_one_at_it_does() -> None:
    lively = network(card(SMALL_UNET)).double()
    radius_px, place = receptive_radius_px(lively, stride_px=4), 64
    torch.manual_seed(0)
    image = torch.rand(4, 3, 128, 4, dtype=torch.float64).expand(4, 3, 128, 4).contiguous()
    with torch.no_grad():
        before = lively(image)
        farthest = 0
        for position in range(place, place + 4):
            changed = image.clone()
            changed[:, :, position] += 1.0
            moved = (lively(changed) - before).abs().amax((0, 1, 3)).nonzero()[:, 0]
            farthest = max(farthest, int((moved - position).abs().max()))
    assert farthest == radius_px
