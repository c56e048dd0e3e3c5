"""The spatial transformer: begins as the identity, stays in its bounds, mixes its samplers as equation 8 says."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.blocks import parameter_count
from models.cost import multiply_adds
from models.lanczos_sampling import lanczos_grid_sample
from models.spatial_transformer import (
    LARGEST_SHIFT,
    LARGEST_STEP,
    SpatialTransformer,
    Warp,
    affine_matrices,
    blend_samples,
    constrained_matrices,
    places_of,
)

NUMBERS = st.floats(-50, 50, width=32)


@pytest.fixture(params=get_args(Warp))
def fresh(request: Any) -> SpatialTransformer:
    torch.manual_seed(0)
    return SpatialTransformer(request.param)


def stirred(warp: Warp = "constrained") -> SpatialTransformer:
    """One that moves every patch a little, and each differently."""
    torch.manual_seed(0)
    transformer = SpatialTransformer(warp)
    with torch.no_grad():
        transformer.locate.weight.normal_(0, 0.05)
        transformer.locate.bias.normal_(0, 0.2)
    return transformer


def rows(numbers: list[list[float]]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def test_it_has_a_tenth_of_a_million_parameters_and_of_a_thousand_million_multiply_adds() -> None:
    assert parameter_count(SpatialTransformer("affine")) == 99_687  # the share of Lanczos is one of them
    assert parameter_count(SpatialTransformer("constrained")) == 99_557
    with torch.device("meta"):
        assert multiply_adds(SpatialTransformer(), 224) / 1e9 == pytest.approx(0.084, abs=5e-4)


@pytest.mark.parametrize("mode", [True, False])
def test_it_begins_as_the_identity(fresh: SpatialTransformer, mode: bool) -> None:
    image = torch.randn(2, 3, 64, 32)  # powers of two: places can be written exactly
    torch.testing.assert_close(fresh.train(mode)(image), image, atol=1e-6, rtol=0)
    assert torch.equal(fresh.matrices(image), torch.eye(2, 3).expand(2, 2, 3))
    assert float(fresh.share.detach().sigmoid()) == 0.5


def test_places_are_torchs_own_in_full_precision_even_under_autocast() -> None:
    matrices = torch.eye(2, 3) + 0.3 * torch.randn(3, 2, 3)
    wanted = functional.affine_grid(matrices, [3, 1, 37, 224], align_corners=False)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(places_of(matrices, 37, 224), wanted, atol=1e-6, rtol=0)
        assert (functional.affine_grid(matrices, [3, 1, 37, 224], align_corners=False) - wanted).abs().max() > 1e-3


def test_a_share_of_0_is_torchs_bilinear_and_of_1_is_lanczos() -> None:
    image, grid = torch.rand(2, 3, 9, 11), 2.6 * torch.rand(2, 9, 11, 2) - 1.3
    bilinear = functional.grid_sample(image, grid, "bilinear", "border", align_corners=False)
    assert torch.equal(blend_samples(image, grid, 0.0), bilinear)
    assert torch.equal(blend_samples(image, grid, 1.0), lanczos_grid_sample(image, grid))
    torch.testing.assert_close(
        blend_samples(image, grid, 0.25), 0.25 * lanczos_grid_sample(image, grid) + 0.75 * bilinear
    )


@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=4), min_size=1, max_size=4))
def test_constrained_warps_turn_scale_a_little_and_never_shear(numbers: list[list[float]]) -> None:
    matrices = constrained_matrices(rows(numbers))
    first, second, shift = matrices.double().unbind(2)
    lengths = torch.stack((first.norm(dim=1), second.norm(dim=1)))
    assert lengths.min() >= 1 / LARGEST_STEP - 1e-6
    assert lengths.max() <= LARGEST_STEP + 1e-6
    torch.testing.assert_close(lengths[0], lengths[1], atol=1e-6, rtol=0)
    assert (first * second).sum(1).abs().max() < 1e-6
    assert shift.abs().max() <= LARGEST_SHIFT + 1e-6
    assert (torch.linalg.det(matrices[:, :, :2]) > 0).all()  # no mirror


@given(st.lists(st.lists(NUMBERS, min_size=6, max_size=6), min_size=1, max_size=4))
def test_affine_warps_skip_no_px(numbers: list[list[float]]) -> None:
    found = rows(numbers)
    matrices, raw = affine_matrices(found), found.view(-1, 2, 3) + torch.eye(2, 3)
    steps = torch.linalg.matrix_norm(matrices[:, :, :2].double(), ord=2)
    assert steps.max() <= LARGEST_STEP + 1e-5
    assert torch.equal(matrices[:, :, 2], raw[:, :, 2])
    within = torch.linalg.matrix_norm(raw[:, :, :2].double(), ord=2) <= LARGEST_STEP - 1e-5
    assert torch.equal(matrices[within], raw[within])


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    image = torch.rand(1, 3, 16, 16)
    matrices = constrained_matrices(rows([[torch.pi / 2, 0, 0, 0]]))
    turned = blend_samples(image, places_of(matrices, 16, 16), 0.5)
    torch.testing.assert_close(turned, image.rot90(1, (2, 3)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("warp", get_args(Warp))
def test_every_parameter_learns(warp: Warp) -> None:
    transformer = stirred(warp)
    transformer(torch.rand(2, 3, 40, 40)).square().sum().backward()
    assert not [name for name, one in transformer.named_parameters() if one.grad is None or not one.grad.any()]


def test_it_learns_from_its_first_step_on(fresh: SpatialTransformer) -> None:
    fresh(torch.rand(2, 3, 40, 40)).square().sum().backward()
    assert fresh.locate.weight.grad is not None
    assert fresh.locate.weight.grad.any(dim=1).all()


def test_it_finds_how_a_patch_was_turned() -> None:
    """A gradient in places is only worth something if it leads there: by the loss of px alone."""
    torch.manual_seed(0)
    x, y = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="xy")
    upright = torch.exp(-4 * x**2 - 20 * y**2).expand(1, 3, 32, 32)
    turned = blend_samples(upright, places_of(constrained_matrices(rows([[0.4, 0, 0.2, 0]])), 32, 32), 0.5)
    found = torch.zeros(1, 4, requires_grad=True)
    optimiser = torch.optim.Adam([found], 0.02)
    for _ in range(60):
        optimiser.zero_grad()
        laid = blend_samples(upright, places_of(constrained_matrices(found), 32, 32), 0.5)
        functional.mse_loss(laid, turned).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert found[0].tolist() == pytest.approx([0.4, 0, 0.2, 0], abs=0.03)


def test_the_share_stays_between_0_and_1_whatever_it_is_taught() -> None:
    torch.manual_seed(0)
    transformer = SpatialTransformer()
    optimiser = torch.optim.Adam([transformer.share], 0.1)
    for _ in range(1000):
        optimiser.zero_grad()
        transformer.share.grad = torch.randn(())
        optimiser.step()
        assert 0 < float(transformer.share.detach().sigmoid()) < 1


def test_in_eval_mode_ringing_makes_no_light_that_is_not_there() -> None:
    image = (torch.rand(2, 3, 32, 32) > 0.5).float() * torch.tensor([0.5, 2.0]).view(2, 1, 1, 1) - 1
    transformer = stirred()
    with torch.no_grad():
        transformer.share.fill_(20)
        free, held = transformer.train()(image), transformer.eval()(image)
    lowest, highest = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    assert (free > highest).any()
    torch.testing.assert_close(held, free.clamp(lowest, highest), atol=1e-6, rtol=0)


def test_a_patch_is_laid_the_same_whatever_comes_with_it() -> None:
    transformer, images = stirred().eval(), torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(transformer(images)[1:2], transformer(images[1:2]), atol=1e-5, rtol=0)


def test_bf16_weights_lay_fp32_px_nearly_as_fp32_ones() -> None:
    transformer, image = stirred().eval(), torch.rand(1, 3, 64, 64)
    image = functional.avg_pool2d(image, 5, 1, 2)
    with torch.no_grad():
        exact, rounded = transformer(image), transformer.to(torch.bfloat16)(image)
    assert rounded.dtype == torch.float32
    assert (exact - rounded).abs().mean() < 0.05 * image.std()
