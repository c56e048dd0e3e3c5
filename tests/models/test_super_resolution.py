"""The super-resolver: counts as published, shapes, starts, and types."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from models.blocks import parameter_count
from models.super_resolution import SCALES, SuperResolver, SuperResolverConfig, Upsampling, enlarge_bicubic
from tests.models.examples import tissue


@pytest.mark.parametrize(
    ("blocks", "scale", "count"),
    [(16, 2, 1_399_637), (16, 4, 1_547_350), (16, 8, 1_695_063), (16, 16, 1_842_776), (8, 4, 955_470)],
)
def test_srresnet_has_as_many_parameters_as_published(blocks: int, scale: int, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(SuperResolver(SuperResolverConfig(scale=scale, blocks=blocks))) == count


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("residual", ["none", "bicubic"])
def test_the_output_is_scale_times_the_input(scale: int, residual: Any) -> None:
    network = SuperResolver(SuperResolverConfig(scale=scale, blocks=1, channels=4, residual=residual))
    assert network(torch.rand(2, 3, 7, 10)).shape == (2, 3, 7 * scale, 10 * scale)


def test_upsampling_starts_constant_on_each_2_x_2_cell() -> None:
    torch.manual_seed(0)
    stage = SuperResolver(SuperResolverConfig(blocks=1)).up[0]
    assert isinstance(stage, Upsampling)
    enlarged = stage(torch.randn(1, 64, 9, 9))
    cells = enlarged.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert enlarged.std() > 0.1
    torch.testing.assert_close(cells.amin(-1), cells.amax(-1))


@pytest.mark.parametrize("upsampling", ["progressive", "direct"])
@pytest.mark.parametrize("scale", [2, 4])
def test_with_a_bicubic_residual_it_starts_as_bicubic_interpolation(
    scale: int, upsampling: Literal["progressive", "direct"]
) -> None:
    config = SuperResolverConfig(scale=scale, blocks=2, norm="none", residual="bicubic", upsampling=upsampling)
    network, image = SuperResolver(config), torch.from_numpy(tissue(48, 48)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        assert torch.equal(network(image), enlarge_bicubic(image, scale))
    network(image).sum().backward()
    assert all(parameter.grad is not None for parameter in network.tail.parameters())


def test_a_direct_tail_puts_each_pixel_in_its_place() -> None:
    config = SuperResolverConfig(scale=4, blocks=1, channels=8, norm="none", residual="bicubic", upsampling="direct")
    network, image = SuperResolver(config).eval(), torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        network.tail.weight.zero_()  # type: ignore[operator]
        network.tail.bias.copy_(torch.arange(48) / 100)  # type: ignore[operator]
        drawn = network(image) - enlarge_bicubic(image, 4)
    cell = torch.arange(48).reshape(3, 4, 4) / 100  # colour, then row, then column within an input pixel
    torch.testing.assert_close(drawn[0], cell.repeat(1, 9, 7), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_interpolation_is_pillows(scale: int) -> None:
    plane = tissue(40, 32)[:, :, 0].astype(np.float32)
    wanted = Image.fromarray(plane).resize((32 * scale, 40 * scale), Image.Resampling.BICUBIC)
    found = enlarge_bicubic(torch.from_numpy(plane)[None, None], scale)[0, 0]
    np.testing.assert_allclose(found, np.asarray(wanted), atol=1e-3)


def test_without_a_residual_the_output_lies_between_0_and_1() -> None:
    torch.manual_seed(0)
    output = SuperResolver(SuperResolverConfig(blocks=1, channels=8))(100 * torch.randn(1, 3, 8, 8))
    assert output.min() >= 0
    assert output.max() <= 1
    assert output.std() > 0.1


@pytest.mark.parametrize("norm", ["bn", "none"])
@pytest.mark.parametrize("residual", ["none", "bicubic"])
def test_every_parameter_learns(norm: Any, residual: Any) -> None:
    torch.manual_seed(0)
    network = SuperResolver(SuperResolverConfig(blocks=2, channels=8, norm=norm, residual=residual, res_scale=0.5))
    _leave_bicubic(network)
    (network(torch.rand(2, 3, 8, 8)) - torch.rand(2, 3, 16, 16)).square().sum().backward()
    still = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not still


def _leave_bicubic(network: SuperResolver) -> None:
    """What the first step of a training does: a tail at 0 hides all that is in front of it."""
    with torch.no_grad():
        torch.nn.init.normal_(network.get_parameter("tail.weight"), std=0.02)


def test_the_residual_scale_scales_what_blocks_add() -> None:
    torch.manual_seed(0)
    full = SuperResolver(SuperResolverConfig(blocks=1, channels=8, norm="none")).body[0]
    half = SuperResolver(SuperResolverConfig(blocks=1, channels=8, norm="none", res_scale=0.5)).body[0]
    half.load_state_dict(full.state_dict())
    features = torch.randn(1, 8, 6, 6)
    torch.testing.assert_close(2 * (half(features) - features), full(features) - features)


def test_bf16_weights_take_and_give_fp32_images() -> None:
    torch.manual_seed(0)
    network = SuperResolver(SuperResolverConfig(blocks=1, channels=8, norm="none", residual="bicubic"))
    _leave_bicubic(network)
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        exact, rounded = network(image), network.to(torch.bfloat16)(image)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.02


@pytest.mark.parametrize(
    "wrong",
    [{"scale": 3}, {"blocks": 0}, {"blocks": 10**9}, {"channels": 10**9}, {"norm": "gn"}, {"tail_kernel": 4},
     {"residual": "nearest"}, {"res_scale": float("nan")}],
)  # fmt: skip
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SuperResolverConfig(**wrong)
