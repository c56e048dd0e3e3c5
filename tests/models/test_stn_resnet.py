"""A spatial transformer before a ResNet, of which only a part learns."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch

from models.blocks import parameter_count
from models.cost import multiply_adds
from models.fold import fold
from models.stn_resnet import StnResNet, StnResNetConfig

SMALL: dict[str, Any] = {"depths": (1, 1, 1, 1), "width": 4, "hidden": (8, 6)}
FROZEN = ("backbone.conv1.", "backbone.bn1.", "backbone.layer1.", "backbone.layer2.")


def build(**changes: Any) -> StnResNet:
    torch.manual_seed(0)
    return StnResNet(StnResNetConfig(**SMALL | changes))


def learning(network: StnResNet) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_the_published_one_is_resnet_50_with_a_head_of_three_layers_and_a_small_network_before() -> None:
    with torch.device("meta"):
        network = StnResNet(StnResNetConfig(classes=3))
    linear = [module for module in network.head.modules() if isinstance(module, torch.nn.Linear)]
    assert [(one.in_features, one.out_features) for one in linear] == [(2048, 256), (256, 128), (128, 3)]
    head = parameter_count(network.head)
    assert head == 2048 * 256 + 256 + 256 * 128 + 128 + 128 * 3 + 3
    assert parameter_count(network) == 25_557_032 - 2_049_000 + head + parameter_count(network.transformer)
    assert multiply_adds(network, 224) / 1e9 == pytest.approx(4.09 + 0.084, abs=0.005)


@pytest.mark.parametrize("side_px", [32, 50])
def test_any_side_from_32_px_gives_one_row_of_logits_a_patch(side_px: int) -> None:
    assert build(classes=4).eval()(torch.rand(2, 3, side_px, side_px)).shape == (2, 4)


def test_only_the_last_two_stages_the_head_and_the_transformer_learn() -> None:
    network = build()
    names = {name for name, _ in network.named_parameters()}
    assert learning(network) == {name for name in names if not name.startswith(FROZEN)}
    assert {name.split(".")[0] for name in learning(network)} == {"transformer", "backbone", "head"}


def test_a_loop_that_asks_all_to_learn_does_not_thaw_what_is_frozen() -> None:
    network = build()
    before = learning(network)
    assert learning(network.requires_grad_()) == before
    assert not learning(network.requires_grad_(requires_grad=False))
    assert learning(deepcopy(network).requires_grad_()) == before


def test_nothing_is_frozen_where_nothing_was_learned_before() -> None:
    network = build(freeze=False)
    assert learning(network) == {name for name, _ in network.named_parameters()}
    assert all(module.training for module in network.train().modules())


def test_a_step_moves_what_learns_and_leaves_weights_and_statistics_of_what_is_frozen() -> None:
    network = build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), 0.1, weight_decay=0.1)
    for _ in range(2):  # the first layer of f_loc learns once the last is not zero
        optimiser.zero_grad()
        network.train()(torch.rand(4, 3, 64, 64)).square().sum().backward()
        optimiser.step()
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if not name.startswith(FROZEN)}


def test_a_gradient_reaches_the_transformer_through_frozen_stages() -> None:
    network = build()
    network(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert network.transformer.locate.weight.grad is not None
    assert network.transformer.locate.weight.grad.any()


def test_eval_mode_is_eval_mode_for_all() -> None:
    network = build().train()
    assert not network.get_submodule("backbone.layer2.0.bn1").training
    assert network.get_submodule("backbone.layer3.0.bn1").training
    assert not any(module.training for module in network.eval().modules())


def test_folding_changes_nothing_but_rounding() -> None:
    network, image = build(freeze=False, width=8), torch.rand(4, 3, 64, 64)
    network.train()(image)  # statistics that are not those of a fresh network
    with torch.no_grad():
        torch.testing.assert_close(fold(network)(image), network.eval()(image), atol=1e-4, rtol=1e-4)


def test_bf16_weights_take_and_give_fp32() -> None:
    assert build().eval().to(torch.bfloat16)(torch.rand(2, 3, 40, 40)).dtype == torch.float32


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"warp": "rigid"}, {"hidden": (256,)}, {"hidden": (0, 1)}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StnResNetConfig(**wrong)
