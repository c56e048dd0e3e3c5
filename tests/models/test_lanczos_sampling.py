"""Lanczos sampling: against a plain loop, against what it must leave alone, and its gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.lanczos_sampling import lanczos_grid_sample, lanczos_kernel


def identity_grid(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The places of an image's own px, rounded once: not at all where the sides are powers of two."""
    y, x = ((2 * torch.arange(length, dtype=dtype) + 1) / length - 1 for length in (height, width))
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)[None]


def by_hand(image: np.ndarray, x: float, y: float, reach: int) -> float:
    """The value of (y, x) at a place in grid_sample's convention, term by term."""
    height, width = image.shape
    u, v = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2

    def kernel(t: float) -> float:
        return float(np.sinc(t) * np.sinc(t / reach)) if abs(t) < reach else 0.0

    total = weights = 0.0
    for j in range(math.floor(v) - reach + 1, math.floor(v) + reach + 1):
        for i in range(math.floor(u) - reach + 1, math.floor(u) + reach + 1):
            weight = kernel(u - i) * kernel(v - j)
            total += weight * image[min(max(j, 0), height - 1), min(max(i, 0), width - 1)]
            weights += weight
    return total / weights


@pytest.mark.parametrize("reach_px", [2, 3, 4])
def test_it_is_the_sum_over_neighbours(reach_px: int) -> None:
    rng = np.random.default_rng(0)
    image, places = rng.random((2, 7, 9)), rng.uniform(-1.3, 1.3, (1, 4, 5, 2))
    sampled = lanczos_grid_sample(torch.from_numpy(image)[None], torch.from_numpy(places), reach_px)
    wanted = [[[by_hand(plane, place[0], place[1], reach_px) for place in row] for row in places[0]] for plane in image]
    np.testing.assert_allclose(sampled[0], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(8, 16), (64, 32), (1, 2)])
def test_the_identity_returns_every_px_exactly(height: int, width: int) -> None:
    image = torch.rand(1, 3, height, width)
    assert torch.equal(lanczos_grid_sample(image, identity_grid(height, width)), image)


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_identity_returns_every_px_as_well_as_places_can_be_written(height: int, width: int) -> None:
    image = torch.rand(1, 2, height, width)
    torch.testing.assert_close(lanczos_grid_sample(image, identity_grid(height, width)), image, atol=3e-5, rtol=0)


@given(st.floats(0, 255, width=32), st.floats(-3, 3, width=32), st.floats(-3, 3, width=32))
def test_an_even_surface_stays_even(value: float, x: float, y: float) -> None:
    sampled = lanczos_grid_sample(torch.full((1, 1, 6, 5), value), torch.tensor([x, y]).view(1, 1, 1, 2))
    assert float(sampled) == pytest.approx(value, rel=1e-6)


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_whole_steps_move_the_image_and_repeat_its_edge(step_y: int, step_x: int) -> None:
    image = torch.rand(1, 1, 8, 8)
    moved = lanczos_grid_sample(image, identity_grid(8, 8) + torch.tensor([step_x, step_y]) * 2 / 8)
    rows, columns = ((torch.arange(8) + step).clamp(0, 7) for step in (step_y, step_x))
    torch.testing.assert_close(moved, image[:, :, rows][:, :, :, columns], atol=1e-6, rtol=0)


@pytest.mark.parametrize("far", [1e3, 1e30, float("inf")])
def test_places_far_outside_have_the_corners_px(far: float) -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    places = torch.tensor([[-far, -far], [far, -far], [-far, far], [far, far]]).view(1, 2, 2, 2)
    assert lanczos_grid_sample(image, places).flatten().tolist() == [0, 3, 8, 11]


def test_a_fine_wave_survives_half_a_px_which_bilinear_interpolation_dampens() -> None:
    def wave(place: Tensor) -> Tensor:
        return torch.cos(2 * math.pi * place / 4)  # 4 px a turn

    image = wave(torch.arange(64.0)).expand(1, 1, 64, 64)
    grid = identity_grid(64, 64) + torch.tensor([1 / 64, 0.0])  # half a px to the right
    inside = slice(8, 56)
    wanted = wave(torch.arange(64.0) + 0.5)[inside]
    lanczos = lanczos_grid_sample(image, grid)[0, 0, 32, inside]
    bilinear = functional.grid_sample(image, grid, "bilinear", "border", align_corners=False)[0, 0, 32, inside]
    assert (lanczos - wanted).abs().max() < 0.02
    assert (bilinear - wanted).abs().max() > 0.2


@pytest.mark.parametrize("reach_px", [2, 3])
def test_the_kernel_is_exactly_1_at_0_and_0_at_every_other_whole_px(reach_px: int) -> None:
    distances = torch.arange(-6.0, 7.0)
    assert torch.equal(lanczos_kernel(distances, reach_px), (distances == 0).float())


@given(st.floats(-4, 4))
def test_the_kernel_is_sinc_times_a_wider_sinc(distance_px: float) -> None:
    wanted = np.sinc(distance_px) * np.sinc(distance_px / 3) if abs(distance_px) < 3 else 0
    assert float(lanczos_kernel(torch.tensor(distance_px, dtype=torch.float64))) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("distance_px", [0.0, 1e-9, -1e-6, 1e-3, 9.9e-3, 1.01e-2, -1.01e-2])
def test_the_kernels_slope_near_0_is_that_of_its_series(distance_px: float) -> None:
    distance = torch.tensor(distance_px, requires_grad=True)  # float32, whose quotient would lose its digits
    lanczos_kernel(distance).backward()  # type: ignore[no-untyped-call]
    assert distance.grad is not None
    wanted = -(math.pi**2) / 3 * (1 + 1 / 9) * distance_px  # sinc t sinc t/3 = 1 - (1 + 1/9) (pi t)^2 / 6 + ...
    assert float(distance.grad) == pytest.approx(wanted, rel=1e-3, abs=1e-12)


def test_gradients_to_image_and_places_are_those_of_differences() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    grid = (2.4 * torch.rand(1, 3, 3, 2, dtype=torch.float64) - 1.2).requires_grad_()
    assert torch.autograd.gradcheck(lanczos_grid_sample, (image, grid))


def test_gradients_hold_where_places_are_all_but_whole_px() -> None:
    """There the weights come from the series and from the quotient by turns."""
    torch.manual_seed(0)
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    near = torch.tensor([2e-4, -2e-3, 1.3e-2, -1.3e-2], dtype=torch.float64) * 2 / 8
    grid = identity_grid(8, 8, torch.float64)[:, 2:4, 2:6] + near.view(1, 1, 4, 1)
    assert torch.autograd.gradcheck(lanczos_grid_sample, (image, grid.requires_grad_()))
