"""Sampling an image between its px with Lanczos' kernel, which torch's own `grid_sample` does not have.

Lanczos keeps detail that bilinear interpolation blurs, and rings at edges. Duchon 1979, "Lanczos filtering in one and
two dimensions"; the weights of a sample are divided by their sum, so that an even surface stays even.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NEAR_ZERO = 1e-2
"""Distance in px below which sinc is taken from its series, right to 2e-13: the quotient's slope has lost a hundredth
of itself to single precision by 1e-3."""


def lanczos_grid_sample(image: Tensor, grid: Tensor, reach_px: int = 3) -> Tensor:
    """Map (n, c, y, x) and places (n, h, w, 2) to the values at those places, (n, c, h, w).

    Places are x, y in the convention of `torch.nn.functional.grid_sample(align_corners=False, padding_mode="border")`:
    -1 and 1 are the image's outer edges, and beyond them the outermost px go on. A px is the sum over its 2a x 2a
    neighbours of L(u - i) L(v - j), L(t) = sinc(t) sinc(t / a), a = `reach_px`. Values may go beyond those around them.
    A gradient flows to the image and to the places; for it, 4a² copies of the result are held.
    """
    height, width = image.shape[2:]
    columns, across = _taps(grid[..., 0], width, reach_px)
    rows, down = _taps(grid[..., 1], height, reach_px)
    flat = image.flatten(2)
    sampled = image.new_zeros(*image.shape[:2], *grid.shape[1:3])
    for row, weight_y in zip(rows.unbind(), down.unbind(), strict=True):
        line = torch.zeros_like(sampled)
        for column, weight_x in zip(columns.unbind(), across.unbind(), strict=True):
            line = line + weight_x[:, None] * _pick(flat, row * width + column)
        sampled = sampled + weight_y[:, None] * line
    return sampled


def lanczos_kernel(distance_px: Tensor, reach_px: int = 3) -> Tensor:
    """Return L(t) = sinc(t) sinc(t / a) for |t| < a, else 0: exactly 1 at 0 and 0 at every other whole px."""
    inside = distance_px.abs() < reach_px
    return torch.where(inside, _sinc(distance_px) * _sinc(distance_px / reach_px), 0.0)


def _sinc(turns: Tensor) -> Tensor:
    """Return sin(pi t) / (pi t), exactly 0 at whole t but 0, with a slope that is right everywhere."""
    angle = math.pi * turns
    near = turns.abs() < _NEAR_ZERO
    series = 1 - angle.square() / 6 + angle.pow(4) / 120
    nearest = turns.round()
    # sin(pi t) = (-1)^k sin(pi (t - k)): floating point has no whole multiple of pi, so that sin(pi k) would not be 0
    sine = (1 - 2 * nearest.remainder(2)) * torch.sin(math.pi * (turns - nearest))
    return torch.where(near, series, sine / torch.where(near, 1.0, angle))


def _taps(places: Tensor, length_px: int, reach_px: int) -> tuple[Tensor, Tensor]:
    """Return the px (2a, n, h, w) that places (n, h, w) along one axis are made of, inside the image, and weights."""
    # a place further out than this sees the outermost px alone; whole numbers of any place would overflow
    centre = (((places + 1) * length_px - 1) / 2).clamp(-2 * reach_px, length_px + 2 * reach_px)
    steps = torch.arange(1 - reach_px, reach_px + 1, dtype=places.dtype, device=places.device).view(-1, 1, 1, 1)
    taps = centre.detach().floor() + steps
    weights = lanczos_kernel(centre - taps, reach_px)
    return taps.long().clamp(0, length_px - 1), weights / weights.sum(0)


def _pick(flat: Tensor, places: Tensor) -> Tensor:
    """Return the px (n, c, h, w) of an image (n, c, y x) at flat places (n, h, w)."""
    count, channels = flat.shape[:2]
    chosen = places.flatten(1)[:, None].expand(-1, channels, -1)
    return flat.gather(2, chosen).view(count, channels, *places.shape[1:])
