from __future__ import annotations

import numpy as np
import pytest
import torch

from models.losses import (
    IGNORED,
    NUCLEUS,
    contour_dice,
    hybrid_cross_entropy,
    l1,
    mse,
    nuclei_cross_entropy,
    offset_errors,
    patch_cross_entropy,
    soft_dice,
    taught_cross_entropy,
    tv,
)

WEIGHTS = torch.tensor([1.0, 1.0, 2.0])


def example() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 3, 4, 5) and classes (2, 4, 5) with every kind of target."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.tensor([0, 1, 2, NUCLEUS, IGNORED])[torch.randint(0, 5, (2, 4, 5), generator=generator)]
    return logits, target


def test_l1_is_the_mean_absolute_difference() -> None:
    assert float(l1(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.0]))) == 0.75


def test_mse_is_the_mean_squared_difference() -> None:
    assert float(mse(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.0]))) == 0.625


def test_tv_is_its_formula_px_by_px() -> None:
    image = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(2))
    along_y, along_x = [], []
    for n, c, y, x in np.ndindex(2, 3, 4, 5):
        if y:
            along_y.append(float(image[n, c, y, x] - image[n, c, y - 1, x]) ** 2)
        if x:
            along_x.append(float(image[n, c, y, x] - image[n, c, y, x - 1]) ** 2)
    assert (len(along_y), len(along_x)) == (2 * 3 * 3 * 5, 2 * 3 * 4 * 4)
    assert float(tv(image)) == pytest.approx(2 * (np.mean(along_y) + np.mean(along_x)), rel=1e-5)


def test_tv_is_as_large_however_much_of_a_texture_is_seen() -> None:
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 0.5
    for side in (2, 16, 64):
        assert float(tv(board[None, None, :side, :side].expand(3, 3, -1, -1))) == pytest.approx(2 * (0.25 + 0.25))
    assert float(tv(torch.full((1, 3, 8, 8), 0.7))) == 0


def test_nuclei_cross_entropy_is_its_formula_pixel_by_pixel() -> None:
    logits, target = example()
    total = weight = 0.0
    for n, y, x in np.ndindex(2, 4, 5):
        p, c = np.exp(logits[n, :, y, x].numpy()), int(target[n, y, x])
        p /= p.sum()
        if c == IGNORED:
            continue
        w, chance = (1.0, p[1] + p[2]) if c == NUCLEUS else (float(WEIGHTS[c]), p[c])
        total, weight = total - w * np.log(chance), weight + w
    assert float(nuclei_cross_entropy(logits, target, WEIGHTS)) == pytest.approx(total / weight, rel=1e-5)


def test_nuclei_cross_entropy_is_torchs_own_where_every_class_is_known() -> None:
    logits, target = example()
    known = target.clamp(max=2)
    wanted = torch.nn.functional.cross_entropy(logits, known, WEIGHTS)
    assert float(nuclei_cross_entropy(logits, known, WEIGHTS)) == pytest.approx(float(wanted), rel=1e-5)


def test_a_mask_does_not_say_whether_a_pixel_is_interior_or_contour() -> None:
    logits = torch.zeros(1, 3, 1, 2, requires_grad=True)
    loss = nuclei_cross_entropy(logits, torch.full((1, 1, 2), NUCLEUS), WEIGHTS)
    (gradient,) = torch.autograd.grad(loss, logits)
    background, interior, contour = gradient[0, :, 0, 0].tolist()
    assert interior == pytest.approx(contour)
    assert interior < 0 < background


def test_ignored_pixels_teach_nothing() -> None:
    logits, _ = example()
    nothing = torch.full((2, 4, 5), IGNORED)
    assert float(nuclei_cross_entropy(logits, nothing, WEIGHTS)) == 0
    assert float(soft_dice(logits, nothing)) == pytest.approx(0)


def test_taught_cross_entropy_is_its_formula_pixel_by_pixel() -> None:
    logits, _ = example()
    answer = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    p, q = logits.softmax(1), answer.softmax(1)
    total = weight = 0.0
    for image, y, x in np.ndindex(2, 4, 5):
        here = sum(float(q[image, c, y, x] * WEIGHTS[c]) for c in range(3))
        total -= here * sum(float(q[image, c, y, x]) * np.log(float(p[image, c, y, x])) for c in range(3))
        weight += here
    assert float(taught_cross_entropy(logits, answer, WEIGHTS)) == pytest.approx(total / weight, rel=1e-5)


def test_a_teacher_that_is_sure_is_a_label() -> None:
    logits, target = example()
    known = torch.where(target < 3, target, 0)
    sure = 100 * torch.nn.functional.one_hot(known, 3).permute(0, 3, 1, 2).float()
    labelled = nuclei_cross_entropy(logits, known, WEIGHTS)
    assert float(taught_cross_entropy(logits, sure, WEIGHTS)) == pytest.approx(float(labelled), rel=1e-5)


def test_soft_dice_is_its_formula() -> None:
    logits, target = example()
    nucleus = 1 - logits.softmax(1)[:, 0].numpy()
    seen, truth = (target != IGNORED).numpy(), ((target > 0) & (target != IGNORED)).numpy()
    overlap = (nucleus * truth).sum()
    wanted = 1 - (2 * overlap + 1) / ((nucleus * seen).sum() + truth.sum() + 1)
    assert float(soft_dice(logits, target)) == pytest.approx(float(wanted), rel=1e-5)


def test_certain_and_right_logits_cost_nothing() -> None:
    target = torch.randint(0, 3, (2, 8, 8))
    logits = 50 * torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float()
    for loss in (
        nuclei_cross_entropy(logits, target, WEIGHTS),
        soft_dice(logits, target),
        contour_dice(logits, target),
    ):
        assert float(loss) == pytest.approx(0, abs=1e-5)


def test_errors_of_offsets_are_their_formula_px_by_px() -> None:
    generator = torch.Generator().manual_seed(3)
    drawn, truth = torch.randn(2, 1, 2, 9, 8, generator=generator)
    target = torch.tensor([0, 1, 2, NUCLEUS, IGNORED])[torch.randint(0, 5, (1, 9, 8), generator=generator)]
    error, target_px = (drawn - truth)[0].numpy(), target[0].numpy()
    known = target_px < NUCLEUS
    wanted = sum(error[:, y, x] @ error[:, y, x] for y, x in np.argwhere(known)) / known.sum()
    inside = [(y, x) for y, x in np.argwhere(known & (target_px > 0)) if 2 <= y < 7]
    wanted += sum((error[0, y + 2, x] - error[0, y - 2, x]) ** 2 for y, x in inside) / len(inside)
    inside = [(y, x) for y, x in np.argwhere(known & (target_px > 0)) if 2 <= x < 6]
    wanted += sum((error[1, y, x + 2] - error[1, y, x - 2]) ** 2 for y, x in inside) / len(inside)
    assert float(offset_errors(drawn, truth, target)) == pytest.approx(float(wanted), rel=1e-5)
    assert float(offset_errors(drawn, truth, torch.full_like(target, NUCLEUS))) == 0


def test_label_smoothing_is_its_formula() -> None:
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 0.0]]), torch.tensor([0, 1])
    targets = 0.9 * torch.eye(2)[labels] + 0.1 / 2
    wanted = -(targets * logits.log_softmax(1)).sum(1).mean()
    assert float(patch_cross_entropy(logits, labels, 0.1)) == pytest.approx(float(wanted))


def test_auxiliary_heads_add_their_share() -> None:
    joint, a, b = torch.randn(3, 4, 2)
    labels = torch.tensor([0, 1, 1, 0])
    parts = [float(patch_cross_entropy(one, labels, 0.05)) for one in (joint, a, b)]
    assert float(hybrid_cross_entropy((joint, a, b), labels, 0.05, 0.3)) == pytest.approx(
        parts[0] + 0.3 * (parts[1] + parts[2])
    )
    assert float(hybrid_cross_entropy((joint,), labels, 0.05, 0.3)) == pytest.approx(parts[0])
