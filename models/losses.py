"""Losses: what each training makes small. Functions of tensors; every mean is over what is named in the docstring."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = 255
"""Target of pixels that no loss looks at."""
NUCLEUS = 254
"""Target of pixels that are nucleus, interior or contour unknown: sets that come with masks only."""


def l1(drawn: Tensor, truth: Tensor) -> Tensor:
    """Return the mean of |drawn - truth| over all numbers of (n, c, y, x)."""
    return functional.l1_loss(drawn, truth)


def mse(drawn: Tensor, truth: Tensor) -> Tensor:
    """Return the mean of (drawn - truth)² over all numbers of (n, c, y, x)."""
    return functional.mse_loss(drawn, truth)


def tv(drawn: Tensor) -> Tensor:
    """Return 2 (E dy² + E dx²) of (n, c, y, x), both sides 2 px or more: the total variation, squared, of one px.

    dy and dx are the differences of px that touch along y and along x, E the mean over all of them (images, channels,
    places), so that the value depends neither on the batch's size nor on the crop's. After Rudin et al. 1992; squares
    for magnitudes, and the factor 2, as WA-SRGAN has them.
    """
    dy, dx = drawn[:, :, 1:] - drawn[:, :, :-1], drawn[..., 1:] - drawn[..., :-1]
    return 2 * (dy.square().mean() + dx.square().mean())


def nuclei_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted cross-entropy of (n, 3, y, x) against classes (n, y, x).

    With p = softmax(logits) and w the class weights, a pixel of class c gives -w_c log p_c; a pixel of which only
    nucleus is known gives -w_1 log(p_1 + p_2). The sum is divided by the sum of the weights; 0 without any.
    """
    log_p = functional.log_softmax(logits, dim=1)
    known = target < logits.shape[1]
    picked = log_p.gather(1, torch.where(known, target, 0)[:, None])[:, 0]
    nucleus = target == NUCLEUS
    per_pixel = torch.where(nucleus, torch.logsumexp(log_p[:, 1:], dim=1), picked)
    weight = weights[torch.where(known, target, 1)] * (known | nucleus)
    return -(weight * per_pixel).sum() / weight.sum().clamp_min(1e-6)


def taught_cross_entropy(logits: Tensor, answer: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted cross-entropy of (n, c, y, x) against a teacher's logits of the same shape.

    With p = softmax(logits), q = softmax(answer) and v = sum_c q_c w_c, w the class weights, a pixel gives
    -v sum_c q_c log p_c; the sum is divided by that of v. Every pixel counts, those that nobody labelled, too.
    """
    truth = functional.softmax(answer, dim=1)
    weight = (truth * weights[:, None, None]).sum(dim=1)
    per_pixel = -(truth * functional.log_softmax(logits, dim=1)).sum(dim=1)
    return (weight * per_pixel).sum() / weight.sum()


def soft_dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Return 1 - (2 sum p t + s) / (sum p + sum t + s) for nucleus (all classes but 0) over the whole batch.

    p is the probability of nucleus, t whether a pixel is one. Over the batch rather than an image, so that an image
    without nuclei does not weigh as much as one that is full of them.
    """
    valid = target != IGNORED
    nucleus = (1 - functional.softmax(logits, dim=1)[:, 0]) * valid
    truth = ((target > 0) & valid).to(nucleus.dtype)
    overlap = (nucleus * truth).sum()
    return 1 - (2 * overlap + smooth) / (nucleus.sum() + truth.sum() + smooth)


def contour_dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Return the same as `soft_dice` for class 2 alone, over pixels whose class is known."""
    valid = target < logits.shape[1]
    contour = functional.softmax(logits, dim=1)[:, 2] * valid
    truth = ((target == 2) & valid).to(contour.dtype)
    return 1 - (2 * (contour * truth).sum() + smooth) / (contour.sum() + truth.sum() + smooth)


def offset_errors(drawn: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of offsets (n, 2, y, x) where the class is known, plus that of slopes in nuclei.

    Slopes are differences of px 4 apart, each offset's along its own axis: they tell nuclei that touch from each other,
    and few px have them. After HoVer-Net (Graham et al. 2019), which takes a filter of Sobel's.
    """
    known, nucleus = (target != IGNORED) & (target != NUCLEUS), (target > 0) & (target < NUCLEUS)
    error = drawn.float() - truth
    total = (error.square().sum(1) * known).sum() / known.sum().clamp_min(1)
    for axis, offset in ((1, error[:, 0]), (2, error[:, 1])):
        length = offset.shape[axis]
        slopes = offset.narrow(axis, 4, length - 4) - offset.narrow(axis, 0, length - 4)
        within = nucleus.narrow(axis, 2, length - 4)
        total = total + (slopes.square() * within).sum() / within.sum().clamp_min(1)
    return total


def patch_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Return the mean cross-entropy of (n, k) against (n,), each target (1 - s) at its class plus s / k everywhere.

    Szegedy et al. 2016, "Rethinking the Inception architecture": label smoothing.
    """
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def hybrid_cross_entropy(heads: tuple[Tensor, ...], labels: Tensor, smoothing: float, auxiliary: float) -> Tensor:
    """Return the joint head's cross-entropy plus `auxiliary` times that of each other head."""
    joint, *others = (patch_cross_entropy(logits, labels, smoothing) for logits in heads)
    return joint + auxiliary * torch.stack(others).sum() if others else joint
