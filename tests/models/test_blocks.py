"""What the networks share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from models.blocks import begin_icnr, begin_kaiming, convolution, parameter_count, weight_type


@settings(deadline=None)
@given(kernel=st.sampled_from([1, 3, 5, 7, 9]), height=st.integers(1, 20), width=st.integers(1, 20))
def test_a_convolution_keeps_the_side(kernel: int, height: int, width: int) -> None:
    assert convolution(2, 3, kernel)(torch.zeros(1, 2, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("channels", [4, 8, 12, 16])
@pytest.mark.parametrize("side", [33, 112])
def test_a_strided_pointwise_convolution_learns_as_torchs_own_does(channels: int, side: int) -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(convolution(channels, 24, 1, stride=2)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's own types
    weight, bias = (parameter.detach().clone() for parameter in layer.parameters())
    images = torch.randn(4, channels, side, side)
    found = layer(images.to(memory_format=torch.channels_last))
    weight.requires_grad_()
    wanted = torch.einsum("dc,ncyx->ndyx", weight[..., 0, 0], images[..., ::2, ::2]) + bias[:, None, None]
    torch.testing.assert_close(found, wanted)
    torch.autograd.backward([found.square().sum(), wanted.square().sum()])
    torch.testing.assert_close(next(layer.parameters()).grad, weight.grad, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_icnr_starts_as_nearest_neighbour_upsampling(factor: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5 * factor**2, 3, padding=1)
    begin_icnr(layer, factor)
    enlarged = functional.pixel_shuffle(layer(torch.randn(2, 3, 7, 6)), factor)
    small = enlarged[:, :, ::factor, ::factor]
    assert enlarged.std() > 0.1
    torch.testing.assert_close(enlarged, small.repeat_interleave(factor, 2).repeat_interleave(factor, 3))


def test_kaiming_keeps_the_variance_behind_relu() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        convolution(64, 64, 3), nn.ReLU(), convolution(64, 64, 3), nn.ReLU(), convolution(64, 64, 3)
    )
    begin_kaiming(network)
    output = network(torch.randn(1, 64, 32, 32))[:, :, 4:-4, 4:-4]
    assert 1 < output.square().mean() < 4  # each layer doubles the power and each of the two ReLUs halves it
    assert all(not layer.bias.any() for layer in network if isinstance(layer, nn.Conv2d) and layer.bias is not None)


def test_parameters_are_counted_and_typed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    assert parameter_count(network) == 3 * 8 * 9 + 8 + 16
    assert weight_type(network) == torch.float32
    assert weight_type(network.to(torch.bfloat16)) == torch.bfloat16
