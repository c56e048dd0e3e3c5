"""The patch classifier that joins two ResNets."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.blocks import parameter_count
from models.cost import multiply_adds
from models.hybrid_resnet import HybridResNet, HybridResNetConfig
from models.resnet import ResNet, ResNetConfig
from tests.models.examples import SMALL_HYBRID


@pytest.fixture
def small() -> HybridResNet:
    torch.manual_seed(0)
    return HybridResNet(SMALL_HYBRID)


def test_resnet_50_with_resnet_152_has_84_million_parameters_and_16_thousand_million_multiply_adds() -> None:
    with torch.device("meta"):
        network = HybridResNet(HybridResNetConfig())
    auxiliary = parameter_count(network.auxiliary_a) + parameter_count(network.auxiliary_b)
    assert parameter_count(network) - auxiliary == 84_293_762
    assert parameter_count(network) == 84_294_790
    assert multiply_adds(network, 224) / 1e9 == pytest.approx(15.60, abs=0.005)


def test_torchvisions_backbones_load_as_they_are() -> None:
    with torch.device("meta"):
        network = HybridResNet(HybridResNetConfig())
        published = ResNet(ResNetConfig(depths=(3, 8, 36, 3), classes=1000))
    wanted = {name: value.shape for name, value in network.backbone_b.state_dict().items()}
    offered = {name: value.shape for name, value in published.state_dict().items() if not name.startswith("fc.")}
    assert wanted == offered
    assert {f"backbone_b.{name}" for name in wanted} <= set(network.state_dict())


@pytest.mark.parametrize("side_px", [32, 50, 65])
def test_any_side_from_32_px_gives_one_row_of_logits_a_patch(small: HybridResNet, side_px: int) -> None:
    assert small(torch.rand(3, 3, side_px, side_px)).shape == (3, 2)


def test_the_joint_head_is_the_forward_pass(small: HybridResNet) -> None:
    small.eval()
    image = torch.rand(2, 3, 50, 50)
    heads = small.all_heads(image)
    torch.testing.assert_close(heads.joint, small(image))
    assert heads.auxiliary_a.shape == heads.auxiliary_b.shape == (2, 2)


def test_each_auxiliary_head_teaches_its_own_backbone_only(small: HybridResNet) -> None:
    loss = small.all_heads(torch.rand(2, 3, 50, 50)).auxiliary_a.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in small.backbone_a.parameters())
    assert all(parameter.grad is None for parameter in small.backbone_b.parameters())


def test_the_joint_loss_teaches_every_stage_of_both(small: HybridResNet) -> None:
    loss = torch.stack(small.all_heads(torch.rand(4, 3, 50, 50))).square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    still = [name for name, parameter in small.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"embed": 0}, {"hidden": 10**9}, {"dropout": 1.0}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HybridResNetConfig(**wrong)


def test_an_impossible_backbone_is_refused_when_it_is_built() -> None:
    with pytest.raises(ValueError, match="width"):
        HybridResNet(HybridResNetConfig(width=0))
