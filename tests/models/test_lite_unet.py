"""The U-Net over EfficientNet-Lite: shapes, reach, published weights, folding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models.blocks import parameter_count
from models.efficientnet_lite import BLOCKS, EfficientNetLite, SameConvolution, block_shapes, from_published
from models.fold import fold
from models.lite_unet import LiteUNet, LiteUNetConfig
from models.receptive_field import receptive_radius_px

LITE0_BODY = 2_958_848
"""Lite0's 4,652,008 weights without head (320 x 1280 and its normalisation) and classes (1280 x 1000 and biases)."""


def published(blocks: int = BLOCKS) -> dict[str, torch.Tensor]:
    """Weights by the names of the package, each of its own value."""
    names = {"expand": 0, "depthwise": 1, "project": 2}
    found = {}
    for name, tensor in EfficientNetLite(blocks).state_dict().items():
        part, *rest = name.split(".")
        if part == "stem":
            renamed = f"{('_conv_stem', '_bn0')[int(rest[0])]}.{rest[1]}"
        else:
            block, layer, place, kind = rest
            renamed = f"_blocks.{block}.{f'_{layer}_conv' if place == '0' else f'_bn{names[layer]}'}.{kind}"
        found[renamed] = torch.rand(tensor.shape)
    return found


def test_the_encoder_has_as_many_weights_as_published() -> None:
    with torch.device("meta"):
        assert parameter_count(EfficientNetLite()) == LITE0_BODY


@pytest.mark.parametrize("finest", [1, 2])
@pytest.mark.parametrize(("blocks", "stride_px"), [(3, 4), (8, 16), (11, 16), (16, 32)])
def test_logits_have_the_side_of_the_image(blocks: int, stride_px: int, finest: int) -> None:
    network = LiteUNet(LiteUNetConfig(blocks=blocks, fine=4, finest=finest)).eval()
    assert network.stride_px == stride_px
    assert network(torch.rand(2, 3, 64, 96)).shape == (2, 3, 64, 96)


def test_features_come_at_every_stride_once() -> None:
    encoder = EfficientNetLite().eval()
    features = encoder(torch.rand(1, 3, 64, 64))
    assert [64 // one.shape[2] for one in features] == [2, 4, 8, 16, 32]
    assert tuple(one.shape[1] for one in features) == encoder.channels == (16, 24, 40, 112, 320)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
def test_strides_pad_below_and_to_the_right_first(kernel: int, stride: int) -> None:
    """TensorFlow's SAME: the total is kernel - stride on even sides, the odd px comes last."""
    layer = SameConvolution(1, 1, kernel, stride)
    nn.init.ones_(layer.weight)
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 0, 0] = 1
    reached = layer(image)[0, 0]
    total = max(kernel - stride, 0)
    assert layer(image).shape[2] == 8 // stride
    assert int((reached[:, 0] > 0).sum()) == total // 2 // stride + 1


def test_it_begins_with_published_weights() -> None:
    network, weights = LiteUNet(LiteUNetConfig(blocks=3, fine=4)), published()
    own = network.pretrained(weights)
    assert all(name.startswith("encode.") for name in own)
    missing = network.load_state_dict(own, strict=False)
    assert not missing.unexpected_keys
    assert not [name for name in missing.missing_keys if name.startswith("encode.")]
    assert torch.equal(
        network.state_dict()["encode.blocks.2.depthwise.0.weight"], weights["_blocks.2._depthwise_conv.weight"]
    )


def test_published_weights_that_lack_one_are_refused() -> None:
    weights = published(3)
    del weights["_blocks.1._bn0.running_var"]
    with pytest.raises(KeyError, match="running_var"):
        from_published(weights, 3)


def test_it_looks_about_as_far_as_the_plain_unet() -> None:
    assert receptive_radius_px(LiteUNet(LiteUNetConfig(blocks=8, fine=4)), stride_px=16) == 118


def test_with_stride_2_nothing_is_convolved_at_full_resolution() -> None:
    network, sides = LiteUNet(LiteUNetConfig(blocks=5, fine=4, finest=2)).eval(), list[int]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _module, _seen, made: sides.append(made.shape[2]))
    network(torch.rand(1, 3, 64, 64))
    assert max(sides) == 32


def test_with_stride_2_each_of_four_px_has_an_answer_of_its_own() -> None:
    network = LiteUNet(LiteUNetConfig(blocks=3, fine=8, finest=2)).eval()
    nn.init.normal_(network.classify.weight)
    answer = network(torch.rand(1, 3, 32, 32))[0, 0, 10:12, 10:12]
    assert len(answer.unique()) == 4


@pytest.mark.parametrize("finest", [1, 2])
def test_folding_changes_nothing_but_rounding(finest: int) -> None:
    torch.manual_seed(0)
    network = LiteUNet(LiteUNetConfig(blocks=5, fine=4, finest=finest))
    network.train()(torch.rand(4, 3, 32, 32))  # statistics that are not those of a fresh network
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(fold(network)(image), network.eval()(image), atol=1e-4)


@pytest.mark.parametrize("finest", [1, 2])
def test_every_parameter_learns(finest: int) -> None:
    torch.manual_seed(0)
    network = LiteUNet(LiteUNetConfig(blocks=5, fine=4, finest=finest))
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert not [name for name, one in network.named_parameters() if one.grad is None or not one.grad.any()]


def test_residuals_join_blocks_of_one_shape() -> None:
    assert [shape.channels_in == shape.channels_out and shape.stride == 1 for shape in block_shapes(6)] == [
        False, False, True, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"blocks": 1}, {"blocks": 17}, {"fine": 0}, {"classes": 1}, {"finest": 4}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LiteUNetConfig(**wrong)
