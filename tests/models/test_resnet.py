"""ResNets with torchvision's names: published weights must load as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.blocks import parameter_count
from models.cost import multiply_adds
from models.fold import fold
from models.resnet import (
    RESNET_18,
    RESNET_50,
    RESNET_101,
    RESNET_152,
    RESNEXT_101_32X8D,
    Bottleneck,
    ResNet,
    ResNetConfig,
)

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def on_meta(config: ResNetConfig) -> ResNet:
    with torch.device("meta"):
        return ResNet(config)


def torchvision_names(depths: tuple[int, ...], convolutions: int, first_projects: bool) -> set[str]:
    """The keys of torchvision's `resnetNN().state_dict()`, written from its source."""
    names = {"conv1.weight", "fc.weight", "fc.bias"} | {f"bn1.{part}" for part in BATCH_NORM}
    for layer, depth in enumerate(depths, start=1):
        for block in range(depth):
            at = f"layer{layer}.{block}"
            for number in range(1, convolutions + 1):
                names |= {f"{at}.conv{number}.weight"} | {f"{at}.bn{number}.{part}" for part in BATCH_NORM}
            if block == 0 and (layer > 1 or first_projects):
                names |= {f"{at}.downsample.0.weight"} | {f"{at}.downsample.1.{part}" for part in BATCH_NORM}
    return names


@pytest.mark.parametrize(
    ("config", "count", "keys", "names"),
    [
        (RESNET_18, 11_689_512, 122, torchvision_names((2, 2, 2, 2), 2, first_projects=False)),
        (RESNET_50, 25_557_032, 320, torchvision_names((3, 4, 6, 3), 3, first_projects=True)),
        (RESNET_101, 44_549_160, 626, torchvision_names((3, 4, 23, 3), 3, first_projects=True)),
        (RESNET_152, 60_192_808, 932, torchvision_names((3, 8, 36, 3), 3, first_projects=True)),
        (RESNEXT_101_32X8D, 88_791_336, 626, torchvision_names((3, 4, 23, 3), 3, first_projects=True)),
    ],
    ids=["resnet18", "resnet50", "resnet101", "resnet152", "resnext101"],
)
def test_names_and_counts_are_torchvisions(config: ResNetConfig, count: int, keys: int, names: set[str]) -> None:
    network = on_meta(config)
    assert set(network.state_dict()) == names
    assert len(names) == keys
    assert parameter_count(network) == count


def test_shapes_are_torchvisions() -> None:
    shapes = {name: tuple(value.shape) for name, value in on_meta(RESNET_50).state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer2.0.conv1.weight"] == (128, 256, 1, 1)
    assert shapes["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert shapes["fc.weight"] == (1000, 2048)


@pytest.mark.parametrize(
    ("config", "giga"),
    [(RESNET_18, 1.81), (RESNET_50, 4.09), (RESNET_101, 7.80), (RESNET_152, 11.5), (RESNEXT_101_32X8D, 16.4)],
    ids=["resnet18", "resnet50", "resnet101", "resnet152", "resnext101"],
)
def test_multiply_adds_for_a_patch_of_224_px(config: ResNetConfig, giga: float) -> None:
    assert multiply_adds(on_meta(config), 224) / 1e9 == pytest.approx(giga, rel=0.005)


def test_resnext_has_torchvisions_shapes() -> None:
    network = on_meta(RESNEXT_101_32X8D)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["layer1.0.conv1.weight"] == (256, 64, 1, 1)
    assert shapes["layer1.0.conv2.weight"] == (256, 8, 3, 3)
    assert shapes["layer1.0.conv3.weight"] == (256, 256, 1, 1)
    assert shapes["layer4.2.conv2.weight"] == (2048, 64, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 2048, 1, 1)
    assert {block.conv2.groups for block in network.modules() if isinstance(block, Bottleneck)} == {32}


@given(st.integers(4, 40), st.sampled_from((1, 2, 4, 32)), st.integers(1, 200), st.integers(0, 3))
def test_a_stages_inner_channels_are_whole_groups(width: int, groups: int, width_per_group: int, stage: int) -> None:
    if width * width_per_group < 64 and width_per_group != 64:
        with pytest.raises(ValueError, match="width_per_group"):
            ResNetConfig(width=width, groups=groups, width_per_group=width_per_group)
        return
    inner = ResNetConfig(width=width, groups=groups, width_per_group=width_per_group).inner(stage)
    assert inner == int(width * 2**stage * (width_per_group / 64.0)) * groups  # torchvision's own rule
    assert inner % groups == 0


def test_groups_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    block = Bottleneck(16, 16, stride=1, inner=16, groups=4)
    features = torch.rand(1, 16, 5, 5)
    changed = features.clone()
    changed[:, :4] += 1
    difference = (block.conv2(changed) - block.conv2(features)).abs().amax((0, 2, 3))
    assert (difference > 0).tolist() == [True] * 4 + [False] * 12


def test_a_config_from_before_there_were_groups_makes_the_same_network() -> None:
    config = ResNetConfig(depths=(1, 1, 1, 1), block="bottleneck", width=8, stem="small", classes=2)
    assert (config.groups, [config.inner(stage) for stage in range(4)]) == (1, [8, 16, 32, 64])


def test_the_3_x_3_convolution_carries_the_stride() -> None:
    block = on_meta(RESNET_50).layer2[0]
    assert block.conv1.stride == (1, 1)
    assert block.conv2.stride == (2, 2)


@pytest.mark.parametrize(
    ("stem", "side_px", "sides"), [("imagenet", 224, [56, 28, 14, 7]), ("small", 50, [50, 25, 13, 7])]
)
def test_stages_have_their_strides_and_channels(stem: Any, side_px: int, sides: list[int]) -> None:
    network = on_meta(ResNetConfig(width=16, stem=stem))
    stages = network.stages(torch.zeros(2, 3, side_px, side_px, device="meta"))
    assert [stage.shape for stage in stages] == [
        (2, channels, side, side) for channels, side in zip(network.channels, sides, strict=True)
    ]
    assert network.channels == (64, 128, 256, 512)


def test_it_classifies_from_the_mean_of_the_last_stage() -> None:
    torch.manual_seed(0)
    network = ResNet(ResNetConfig(depths=(1, 1, 1, 1), block="basic", width=4, classes=5)).eval()
    image = torch.rand(2, 3, 64, 64)
    assert network.fc is not None
    torch.testing.assert_close(network(image), network.fc(network.stages(image)[3].mean((2, 3))))


def test_a_backbone_without_classes_says_so() -> None:
    network = ResNet(ResNetConfig(depths=(1, 1, 1, 1), width=4))
    assert "fc.weight" not in network.state_dict()
    with pytest.raises(TypeError, match="stages"):
        network(torch.rand(1, 3, 64, 64))


def test_the_head_is_the_last_layer_under_torchvisions_name() -> None:
    network = ResNet(ResNetConfig(depths=(1, 1, 1, 1), width=4, classes=3))
    assert network.head is network.fc
    assert not [name for name in network.state_dict() if "head" in name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"depths": (1, 2, 3)},
        {"depths": (1, 1, 1, 10**6)},
        {"block": "wide"},
        {"width": 0},
        {"stem": "none"},
        {"classes": 1},
        {"groups": 0},
        {"groups": 2, "block": "basic"},
        {"width_per_group": 0},
        {"width_per_group": 32, "block": "basic"},
        {"width_per_group": 8, "width": 4},
    ],
)
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ResNetConfig(**wrong)


def test_folding_a_resnext_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    network = ResNet(ResNetConfig(depths=(1, 2, 1, 1), width=16, groups=4, width_per_group=16, classes=2))
    image = torch.rand(4, 3, 64, 64)
    network.train()(image)  # statistics that are not those of a fresh network
    with torch.no_grad():
        torch.testing.assert_close(fold(network)(image), network.eval()(image), atol=1e-4, rtol=1e-4)
