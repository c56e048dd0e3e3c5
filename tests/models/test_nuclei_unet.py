"""The nuclei U-Net: counts as published, shapes, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.blocks import parameter_count
from models.nuclei_channels import CLASSES
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig


@pytest.mark.parametrize(("base", "count"), [(32, 7_763_107), (64, 31_037_763)])
def test_it_has_as_many_parameters_as_published(base: int, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(NucleiUNet(NucleiUNetConfig(base=base))) == count


@pytest.mark.parametrize(("depth", "classes"), [(1, 2), (2, 3), (4, 3)])
def test_logits_have_the_side_of_the_image(depth: int, classes: int) -> None:
    network = NucleiUNet(NucleiUNetConfig(base=2, depth=depth, classes=classes))
    assert network.stride_px == 2**depth
    assert network(torch.rand(2, 3, 48, 64)).shape == (2, classes, 48, 64)


def test_there_are_three_classes_of_px() -> None:
    assert CLASSES == ("background", "interior", "contour")
    assert NucleiUNetConfig().classes == len(CLASSES)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = NucleiUNet(NucleiUNetConfig(base=4, depth=3))
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    still = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not still


def test_channels_double_at_each_level() -> None:
    shapes = {name: tuple(value.shape) for name, value in NucleiUNet(NucleiUNetConfig(base=4)).state_dict().items()}
    assert [shapes[f"encode.{level}.0.weight"][0] for level in range(5)] == [4, 8, 16, 32, 64]
    assert shapes["decode.0.enlarge.weight"] == (64, 32, 2, 2)
    assert shapes["decode.0.convolve.0.weight"] == (32, 64, 3, 3)


def test_bf16_weights_take_and_give_fp32() -> None:
    network = NucleiUNet(NucleiUNetConfig(base=4, depth=2)).eval().to(torch.bfloat16)
    assert network(torch.rand(1, 3, 16, 16)).dtype == torch.float32


@pytest.mark.parametrize("wrong", [{"base": 0}, {"base": 10**6}, {"depth": 0}, {"depth": 40}, {"classes": 1}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NucleiUNetConfig(**wrong)
