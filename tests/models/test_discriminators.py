"""Discriminators: their published sizes, plain logits, and who mixes the images of a batch."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from models.blocks import parameter_count
from models.discriminators import DISCRIMINATORS, SelfAttention, STNDiscriminator, UNetDiscriminator, WACritic

SLIM = 8
"""Width of the discriminators under test, an eighth of the published."""
an_image_a_logit = pytest.mark.parametrize("name", ["srgan", "stn_003", "wa_critic"])
every_one = pytest.mark.parametrize("name", sorted(DISCRIMINATORS))


def slim(name: str) -> nn.Module:
    """A narrow discriminator in training mode whose every part matters: attention begins at 0 and would hide itself."""
    torch.manual_seed(0)
    network = DISCRIMINATORS[name](width=SLIM)
    for module in network.modules():
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gamma, 0.5)
    return network


def last_bias(network: nn.Module) -> Tensor:
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return cast(Tensor, layers[-1].bias)


@pytest.mark.parametrize(
    ("name", "count"),
    [("srgan", 5_213_569), ("stn_003", 1_255_809), ("wa_critic", 5_295_819), ("unet_sn", 4_376_897)],
)
def test_the_numbers_of_parameters_are_the_published(name: str, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(DISCRIMINATORS[name]()) == count


@an_image_a_logit
@pytest.mark.parametrize("sides", [(32, 32), (33, 50), (16, 96)])
def test_an_image_of_any_size_gives_one_logit(name: str, sides: tuple[int, int]) -> None:
    assert slim(name)(torch.rand(2, 3, *sides)).shape == (2, 1)


@pytest.mark.parametrize("sides", [(32, 32), (33, 50), (8, 15)])
def test_the_u_net_gives_a_logit_a_px_of_an_image_of_any_size(sides: tuple[int, int]) -> None:
    assert slim("unet_sn")(torch.rand(2, 3, *sides)).shape == (2, 1, *sides)


@every_one
def test_logits_are_not_squashed(name: str) -> None:
    network, image = slim(name), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = network.eval()(image)
        last_bias(network).add_(50)
        torch.testing.assert_close(network(image), before + 50)


@every_one
def test_gradients_reach_the_image_and_every_parameter(name: str) -> None:
    network, image = slim(name), torch.rand(2, 3, 32, 32, requires_grad=True)
    network(image).square().mean().backward()
    for tensor in (image, *network.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "mixes"), [("stn_003", False), ("wa_critic", False), ("unet_sn", False), ("srgan", True)]
)
def test_only_batch_normalisation_mixes_the_images_of_a_batch(name: str, mixes: bool) -> None:
    network = slim(name)
    for module in network.modules():  # spectral norm in training takes a step of its power iteration at each call
        module.train(isinstance(module, nn.BatchNorm2d))
    one, other, another = torch.rand(3, 1, 3, 32, 32)
    beside = (network(torch.cat((one, company)))[0] for company in (other, another))
    with torch.no_grad():
        difference = float((next(beside) - next(beside)).abs().max())
    assert difference > 1e-3 if mixes else difference < 1e-4


def test_attention_begins_as_the_identity() -> None:
    features = torch.randn(2, 16, 5, 7)
    torch.testing.assert_close(SelfAttention(16)(features), features)


def test_attention_is_its_formula() -> None:
    torch.manual_seed(1)
    attention, features = SelfAttention(16), torch.randn(2, 16, 5, 7)
    nn.init.constant_(attention.gamma, 0.7)
    query, key, value = (
        torch.einsum("oc,ncyx->noyx", project.weight[:, :, 0, 0], features) + cast(Tensor, project.bias)[:, None, None]
        for project in (attention.query, attention.key, attention.value)
    )
    share = torch.einsum("ncyx,ncvu->nyxvu", query, key).flatten(3).softmax(3).reshape(2, 5, 7, 5, 7)
    wanted = features + 0.7 * torch.einsum("nyxvu,ncvu->ncyx", share, value)
    torch.testing.assert_close(attention(features), wanted)


def test_the_critic_attends_at_an_eighth_of_the_side() -> None:
    seen: list[torch.Size] = []
    network = slim("wa_critic")
    for module in network.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].shape))
    network(torch.rand(1, 3, 64, 96))
    assert seen == [(1, 4 * SLIM, 8, 12)]


def test_weight_norm_makes_the_critic_blind_to_how_long_its_directions_are() -> None:
    network, image = slim("wa_critic"), torch.rand(1, 3, 32, 32)
    directions = [one for name, one in network.named_parameters() if name.endswith("weight.original1")]
    assert len(directions) == 7
    with torch.no_grad():
        before = network(image)
        for direction in directions:
            direction.mul_(3)
        torch.testing.assert_close(network(image), before)


def test_weight_norm_changes_nothing_at_the_start() -> None:
    """The weights are drawn first, so the critic begins with the spread of the drawing."""
    torch.manual_seed(0)
    deep = [module for module in WACritic(width=16) if isinstance(module, nn.Conv2d)][5]
    assert deep.weight.std().item() == pytest.approx((2 / (9 * deep.in_channels)) ** 0.5, rel=0.05)


def test_spectral_norm_holds_each_layer_to_an_amplification_of_1() -> None:
    network = UNetDiscriminator(width=SLIM)
    layers = [cast(nn.Conv2d, layer) for layer in (*network.down, *network.up, *network.body)]
    with torch.no_grad():
        for name, stored in network.named_parameters():
            if name.endswith("weight.original"):
                stored.mul_(7)
        for _ in range(20):
            network(torch.rand(1, 3, 16, 16))
        largest = [float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) for layer in layers]
    assert largest == pytest.approx([1.0] * 8, rel=0.05)


def test_the_stn_papers_discriminator_looks_at_5_px() -> None:
    """A px touches 3 x 3 outputs of the first convolution, and of the second those at every second px around them."""
    convolutions = nn.Sequential(*list(STNDiscriminator(width=SLIM))[:4]).double()
    image = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    image[0, 0, 16, 16] = torch.nan
    with torch.no_grad():
        _, y, x = convolutions(image)[0].isnan().nonzero(as_tuple=True)
    assert {int(one) for one in y} == {int(one) for one in x} == {7, 8, 9}
