"""Adversarial losses: what critic and generator make small, and the gradient penalty that keeps a critic smooth.

Functions of logits, one an image (n, 1) or one a px (n, 1, y, x), without a sigmoid. C(x) is the critic's logit of a
scanned image, C(y) of a drawn one, E the mean over a batch (and its px), s the sigmoid:

| kind      | critic                                  | generator                                   |
|-----------|-----------------------------------------|---------------------------------------------|
| `bce`     | -E log s(C(x)) - E log(1 - s(C(y)))     | -E log s(C(y))                              |
| `lsgan`   | (E (C(x) - 1)² + E C(y)²) / 2           | E (C(y) - 1)² / 2                           |
| `ragan`   | -E log D(x, y) - E log(1 - D(y, x))     | -E log D(y, x) - E log(1 - D(x, y))         |
| `wgan_gp` | E C(y) - E C(x), plus the penalty       | -E C(y)                                     |

with D(a, b) = s(C(a) - E C(b)). Goodfellow et al. 2014 (the non-saturating form), Mao et al. 2017 (least squares),
Jolicoeur-Martineau 2018 and Wang et al. 2018, ESRGAN (relativistic average), Gulrajani et al. 2017 (WGAN-GP).

The critic's step takes logits of `drawn.detach()`, the generator's those of `drawn` itself: logits that have passed
through `.item()` or `.detach()` train no generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

AdversarialKind = Literal["bce", "lsgan", "ragan", "wgan_gp"]


def critic_loss(kind: AdversarialKind, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the critic's loss of the module's table, in fp32 or better; `wgan_gp` without its penalty."""
    real, fake = _at_least_fp32(real_logits), _at_least_fp32(fake_logits)
    match kind:
        case "bce":
            return _surprise(real) + _surprise(-fake)
        case "lsgan":
            return ((real - 1).square().mean() + fake.square().mean()) / 2
        case "ragan":
            return _surprise(real - fake.mean()) + _surprise(real.mean() - fake)
        case "wgan_gp":
            return fake.mean() - real.mean()
        case _:
            assert_never(kind)


def generator_loss(kind: AdversarialKind, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Return the generator's loss of the module's table, in fp32 or better.

    Only `ragan` looks at `real_logits`; the others take None, which saves the critic's pass over the scanned images.
    No gradient goes to them.

    Raises
    ------
    ValueError
        if `ragan` gets None.
    """
    fake = _at_least_fp32(fake_logits)
    match kind:
        case "bce":
            return _surprise(fake)
        case "lsgan":
            return (fake - 1).square().mean() / 2
        case "ragan":
            if real_logits is None:
                msg = "ragan compares drawn images with scanned ones; pass the critic's logits of both"
                raise ValueError(msg)
            return critic_loss("ragan", fake, real_logits.detach())
        case "wgan_gp":
            return -fake.mean()
        case _:
            assert_never(kind)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    generator: torch.Generator,
    *,
    weight: float = 10.0,
) -> Tensor:
    """Return weight E (|dC/dz| - 1)², z between pairs of (n, c, y, x): how far the critic's slope is from 1.

    Gulrajani et al. 2017. |.| is the norm over all numbers of an image, and C(z) the mean over px of a critic with a
    logit a px. Always in fp32 or better, since slopes of slopes leave bf16's three digits. The gradient goes to the
    critic alone.

    The critic must not mix the images of a batch (no batch normalisation), or the slope is not one image's.
    """
    point = interpolate(real, fake, generator)
    # Only the plain kernel of attention can be differentiated twice; the fused ones raise.
    with torch.enable_grad(), torch.autocast(point.device.type, enabled=False), sdpa_kernel(SDPBackend.MATH):
        point.requires_grad_()
        values = critic(point).flatten(1).mean(1)
        (gradient,) = torch.autograd.grad(values.sum(), point, create_graph=True)
        slopes: Tensor = gradient.flatten(1).norm(dim=1)
        return weight * (slopes - 1).square().mean()


def interpolate(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """Return e real + (1 - e) fake for (n, c, y, x), an e from U[0, 1) for each image, as a leaf in fp32 or better.

    e is drawn where the random generator lives, so that one on the CPU gives the same numbers for every device.
    """
    real, fake = _at_least_fp32(real.detach()), _at_least_fp32(fake.detach())
    share = torch.rand(len(real), 1, 1, 1, generator=generator, device=generator.device)
    return torch.lerp(fake, real, share.to(real))


def _surprise(logits: Tensor) -> Tensor:
    """Return -E log s(logits), which stays finite where the sigmoid s rounds to 0; note 1 - s(t) = s(-t)."""
    return functional.softplus(-logits).mean()


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
