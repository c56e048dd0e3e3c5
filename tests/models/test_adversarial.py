"""Adversarial losses against naive formulas, and the two mistakes that make them worthless."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.adversarial import AdversarialKind, critic_loss, generator_loss, gradient_penalty, interpolate
from models.discriminators import DISCRIMINATORS, SelfAttention

KINDS: tuple[AdversarialKind, ...] = get_args(AdversarialKind)
every_kind = pytest.mark.parametrize("kind", KINDS)
logits = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=6)


def log_sigmoid(value: float) -> float:
    return -math.log1p(math.exp(-value))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def naive_critic(kind: AdversarialKind, real: list[float], fake: list[float]) -> float:
    """The module's table, a number at a time."""
    if kind == "bce":
        return -mean([log_sigmoid(one) for one in real]) - mean(
            [math.log(1 - 1 / (1 + math.exp(-one))) for one in fake]
        )
    if kind == "lsgan":
        return 0.5 * mean([(one - 1) ** 2 for one in real]) + 0.5 * mean([one**2 for one in fake])
    if kind == "ragan":
        return -mean([log_sigmoid(one - mean(fake)) for one in real]) - mean(
            [log_sigmoid(-(one - mean(real))) for one in fake]
        )
    return mean(fake) - mean(real)


def naive_generator(kind: AdversarialKind, real: list[float], fake: list[float]) -> float:
    if kind == "bce":
        return -mean([log_sigmoid(one) for one in fake])
    if kind == "lsgan":
        return 0.5 * mean([(one - 1) ** 2 for one in fake])
    if kind == "ragan":
        return naive_critic("ragan", fake, real)
    return -mean(fake)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


@every_kind
@given(real=logits, fake=logits)
def test_each_loss_is_its_formula(kind: AdversarialKind, real: list[float], fake: list[float]) -> None:
    critic = float(critic_loss(kind, column(real), column(fake)))
    assert critic == pytest.approx(naive_critic(kind, real, fake), rel=1e-6, abs=1e-9)
    generator = float(generator_loss(kind, column(real), column(fake)))
    assert generator == pytest.approx(naive_generator(kind, real, fake), rel=1e-6, abs=1e-9)


@every_kind
def test_a_logit_a_px_counts_as_so_many_logits(kind: AdversarialKind) -> None:
    real, fake = torch.randn(2, 2, 1, 3, 4)
    for loss in (critic_loss, generator_loss):
        flat = loss(kind, real.reshape(-1, 1), fake.reshape(-1, 1))
        torch.testing.assert_close(loss(kind, real, fake), flat)


@every_kind
@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_the_adversarial_term_alone_moves_the_generator(kind: AdversarialKind, name: str) -> None:
    torch.manual_seed(0)
    generator, critic = nn.Conv2d(3, 3, 3, padding=1), DISCRIMINATORS[name](width=4)
    real, low = torch.rand(2, 2, 3, 16, 16)
    loss = generator_loss(kind, critic(real), critic(generator(low)))
    (gradient,) = torch.autograd.grad(loss, generator.weight)
    assert gradient.abs().max() > 1e-8


@every_kind
@given(real=logits, fake=logits)
def test_the_generator_wants_what_it_draws_to_look_more_real(
    kind: AdversarialKind, real: list[float], fake: list[float]
) -> None:
    drawn = column(fake).clamp(max=0.5).requires_grad_()  # beyond 1, least squares finds an image too real
    (gradient,) = torch.autograd.grad(generator_loss(kind, column(real), drawn), drawn)
    assert (gradient < 0).all()


@every_kind
def test_the_critic_learns_to_raise_real_and_to_lower_fake(kind: AdversarialKind) -> None:
    real, fake = torch.zeros(3, 1).requires_grad_(), torch.full((3, 1), 0.5).requires_grad_()
    up, down = torch.autograd.grad(critic_loss(kind, real, fake), (real, fake))
    assert (up < 0).all()
    assert (down > 0).all()


@given(real=logits, fake=logits, shift=st.floats(-5, 5))
def test_the_relativistic_loss_sees_differences_alone(real: list[float], fake: list[float], shift: float) -> None:
    for loss in (critic_loss, generator_loss):
        here, there = (
            loss("ragan", column(real), column(fake)),
            loss("ragan", column(real) + shift, column(fake) + shift),
        )
        torch.testing.assert_close(here, there)


def test_the_relativistic_generator_cannot_do_without_the_scanned_images() -> None:
    with pytest.raises(ValueError, match="logits of both"):
        generator_loss("ragan", None, torch.zeros(2, 1))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ragan"])
def test_other_generators_do_not_look_at_the_scanned_images(kind: AdversarialKind) -> None:
    fake = torch.randn(4, 1)
    assert generator_loss(kind, None, fake) == generator_loss(kind, torch.randn(4, 1), fake)


@every_kind
def test_no_gradient_of_the_generators_loss_goes_by_the_scanned_images(kind: AdversarialKind) -> None:
    real, fake = torch.randn(2, 3, 1).requires_grad_().unbind()
    (gradient,) = torch.autograd.grad(generator_loss(kind, real, fake), real, allow_unused=True, materialize_grads=True)
    assert not gradient.any()


@every_kind
def test_large_and_low_precision_logits_give_finite_fp32_losses(kind: AdversarialKind) -> None:
    real, fake = torch.tensor([[-300.0]]).bfloat16(), torch.tensor([[300.0]]).bfloat16()
    for loss in (critic_loss(kind, real, fake), generator_loss(kind, fake, real)):
        assert loss.dtype == torch.float32
        assert loss.isfinite()


def linear_critic(slope: float) -> Callable[[Tensor], Tensor]:
    """A critic whose gradient is everywhere the same, and `slope` long."""
    weight = torch.randn(3 * 4 * 5, generator=torch.Generator().manual_seed(3))
    return lambda image: image.flatten(1) @ (slope * weight / weight.norm())[:, None]


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 40.0), (0.0, 10.0)])
def test_the_penalty_of_a_linear_critic_follows_from_its_slope(slope: float, penalty: float) -> None:
    real, fake = torch.rand(2, 2, 3, 4, 5)
    found = gradient_penalty(linear_critic(slope), real, fake, torch.Generator())
    assert float(found) == pytest.approx(penalty, abs=1e-5)


def test_the_penalty_is_its_formula() -> None:
    """Of the critic sum z² / 2, whose gradient at z is z."""
    real, fake = torch.rand(2, 4, 3, 4, 5)
    point = interpolate(real, fake, torch.Generator().manual_seed(5))
    wanted = 2 * sum((float(one.square().sum()) ** 0.5 - 1) ** 2 for one in point) / 4
    found = gradient_penalty(
        lambda z: z.square().sum((1, 2, 3))[:, None] / 2, real, fake, torch.Generator().manual_seed(5), weight=2
    )
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_a_critic_with_a_logit_a_px_is_judged_by_their_mean() -> None:
    """With a px's mean times 60 as its logit, each of the image's 60 numbers has slope 1, all together sqrt(60)."""
    real, fake = torch.rand(2, 2, 3, 4, 5)
    found = gradient_penalty(lambda z: 60 * z.mean(1, keepdim=True), real, fake, torch.Generator())
    assert float(found) == pytest.approx(10 * (60**0.5 - 1) ** 2, rel=1e-5)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 5))
def test_interpolates_lie_on_the_segment_each_at_its_own_place(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.rand(2, count, 3, 4, 5, generator=generator, dtype=torch.float64)
    point = interpolate(real, fake, generator)
    shares = ((point - fake) / (real - fake)).flatten(1)
    assert shares.min() >= -1e-6
    assert shares.max() <= 1 + 1e-6
    assert torch.allclose(shares, shares[:, :1], atol=1e-6)
    assert len(shares[:, 0].unique()) == count


def test_the_same_random_generator_gives_the_same_penalty() -> None:
    critic = DISCRIMINATORS["wa_critic"](width=8)
    real, fake = torch.rand(2, 2, 3, 16, 16)
    one, other = (gradient_penalty(critic, real, fake, torch.Generator().manual_seed(7)) for _ in range(2))
    assert one == other


def test_the_penalty_teaches_the_critic_and_not_the_generator() -> None:
    critic = DISCRIMINATORS["stn_003"](width=8)
    real, fake = (torch.rand(2, 3, 16, 16, requires_grad=True) for _ in range(2))
    penalty = gradient_penalty(critic, real, fake, torch.Generator())
    images = torch.autograd.grad(penalty, (real, fake), retain_graph=True, allow_unused=True)
    assert all(gradient is None for gradient in images)
    (gradient,) = torch.autograd.grad(penalty, next(critic.parameters()))
    assert gradient.abs().max() > 0


def test_the_penalty_can_be_looked_at_where_no_gradients_are_kept() -> None:
    real, fake = torch.rand(2, 2, 3, 4, 5)
    with torch.no_grad():
        penalty = gradient_penalty(linear_critic(3), real, fake, torch.Generator())
    assert float(penalty) == pytest.approx(40, abs=1e-4)


def test_autocast_does_not_reach_the_penalty() -> None:
    torch.manual_seed(0)
    critic, (real, fake) = DISCRIMINATORS["wa_critic"](width=8), torch.rand(2, 2, 3, 16, 16)
    plain = gradient_penalty(critic, real, fake, torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real).dtype == torch.bfloat16
        assert gradient_penalty(critic, real, fake, torch.Generator().manual_seed(1)) == plain


def test_attention_can_be_differentiated_twice() -> None:
    """The gradient of the penalty, by every parameter of an attending critic, against finite differences."""
    torch.manual_seed(0)
    attention = SelfAttention(8).double()
    nn.init.constant_(attention.gamma, 0.8)
    names, values = zip(*attention.named_parameters(), strict=True)
    real, fake = torch.randn(2, 2, 8, 3, 3, dtype=torch.float64)

    def penalty(*parameters: Tensor) -> Tensor:
        def critic(image: Tensor) -> Tensor:
            attended: Tensor = torch.func.functional_call(
                attention, dict(zip(names, parameters, strict=True)), (image,)
            )
            return attended.square().sum((1, 2, 3))[:, None] / 50

        return gradient_penalty(critic, real, fake, torch.Generator().manual_seed(2))

    assert torch.autograd.gradcheck(penalty, tuple(one.detach().requires_grad_() for one in values))
