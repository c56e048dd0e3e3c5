"""Folding changes how a network computes, not what."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from models.card import Card
from models.fold import before_shuffle, fold
from models.resnet import ResNet, ResNetConfig
from models.squeeze import SqueezeExcitation
from models.super_resolution import SuperResolverConfig
from tests.models.examples import SMALL_HYBRID, SMALL_SR, SMALL_SRGAN, SMALL_UNET, card, network
from tests.models.generators import NARROW, WHOLE_IMAGE, lively


@pytest.mark.parametrize(
    "of",
    [card(SMALL_SR), card(SMALL_SRGAN), card(SMALL_UNET), card(SMALL_HYBRID)],
    ids=["sr", "srgan", "unet", "hybrid"],
)
def test_a_folded_network_gives_the_same(of: Card) -> None:
    exact = network(of).double()
    image = torch.rand(2, 3, 52, 36, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = exact(image), fold(exact)(image)
    assert wanted.std() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NARROW | WHOLE_IMAGE)
def test_a_folded_generator_gives_the_same(name: str) -> None:
    exact = lively(*(NARROW | WHOLE_IMAGE)[name])
    image = torch.rand(2, 3, 21, 18)
    with torch.no_grad():
        wanted, found = exact(image), fold(exact)(image)
        assert wanted.std() > 0.02
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.std()) + 1e-6)
        image = image.double()
        torch.testing.assert_close(fold(exact.double())(image), exact(image), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NARROW)
def test_folding_leaves_neither_weight_normalisation_nor_gates(name: str) -> None:
    parts = list(fold(lively(*NARROW[name])).modules())
    assert not [part for part in parts if parametrize.is_parametrized(part) or isinstance(part, SqueezeExcitation)]


def test_live_gates_are_left_alone() -> None:
    folded = fold(lively(*WHOLE_IMAGE["edsr-live"]))
    assert len([part for part in folded.modules() if isinstance(part, SqueezeExcitation)]) == 2


def test_slopes_of_single_channels_are_left_alone() -> None:
    folded = fold(lively(*NARROW["srvgg"]))
    assert [part.num_parameters for part in folded.modules() if isinstance(part, nn.PReLU)] == [8] * 5


@pytest.mark.parametrize("name", ["wide-wn", "wide-bn", "edsr-frozen"])
def test_a_folded_generator_is_smaller_to_shuffle(name: str) -> None:
    shuffled: list[int] = []
    folded = fold(lively(*NARROW[name]))
    for part in folded.modules():
        if isinstance(part, nn.PixelShuffle):
            part.register_forward_hook(lambda _, __, output: shuffled.append(output.shape[1]))
    folded(torch.rand(1, 3, 8, 8))
    assert shuffled[-1] == 3


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_folding_leaves_no_normalisation_in_any_resnet(block: Any) -> None:
    exact = ResNet(ResNetConfig(depths=(1, 2, 1, 1), block=block, width=4, classes=3)).double().eval()
    folded = fold(exact)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    patch = torch.rand(2, 3, 50, 50, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(folded(patch), exact(patch), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "of", [card(SMALL_SRGAN), card(SMALL_UNET), card(SMALL_HYBRID)], ids=["srgan", "unet", "hybrid"]
)
def test_folding_leaves_no_normalisation_in_any_network(of: Card) -> None:
    assert not [module for module in fold(network(of)).modules() if isinstance(module, nn.BatchNorm2d | nn.PReLU)]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("bias", [False, True])
def test_a_convolution_moves_in_front_of_the_shuffle(kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    behind = nn.Conv2d(4, 3, kernel, padding=kernel // 2, bias=bias).double()
    features, shuffle = torch.rand(2, 16, 9, 12, dtype=torch.float64), nn.PixelShuffle(2)
    with torch.no_grad():
        torch.testing.assert_close(shuffle(before_shuffle(behind)(features)), behind(shuffle(features)))


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("tail_kernel", [3, 9])
def test_a_folded_super_resolver_shuffles_3_channels_last(scale: int, tail_kernel: int) -> None:
    exact = network(card(SuperResolverConfig(scale=scale, blocks=1, channels=8, tail_kernel=tail_kernel))).double()
    image = torch.rand(1, 3, 8, 9, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fold(exact)(image), exact(image), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["srresnet", "wide-wn", "wide-bn", "edsr-frozen"])
def test_the_network_that_is_folded_stays_as_it_is(name: str) -> None:
    exact, image = lively(*NARROW[name]), torch.rand(1, 3, 9, 9)
    names = list(exact.state_dict())
    with torch.no_grad():
        wanted = exact(image)
        fold(exact)
        assert torch.equal(exact(image), wanted)
    assert list(exact.state_dict()) == names
    fold(exact.train())
    assert exact.training
    assert all(parameter.requires_grad for parameter in exact.parameters())


def test_a_super_resolver_is_folded_once() -> None:
    with pytest.raises(TypeError, match="already"):
        fold(fold(network(card(SMALL_SR))))
