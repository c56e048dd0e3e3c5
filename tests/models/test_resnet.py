"""ResNets with torchvision's names: published weights must load as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.blocks import parameter_count
from models.resnet import RESNET_18, RESNET_50, RESNET_152, ResNet, ResNetConfig

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
        (RESNET_152, 60_192_808, 932, torchvision_names((3, 8, 36, 3), 3, first_projects=True)),
    ],
    ids=["resnet18", "resnet50", "resnet152"],
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"depths": (1, 2, 3)},
        {"depths": (1, 1, 1, 10**6)},
        {"block": "wide"},
        {"width": 0},
        {"stem": "none"},
        {"classes": 1},
    ],
)
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ResNetConfig(**wrong)
