"""How far a network looks: the radius that a tile's halo must cover.

Measured, not derived: one input px is not-a-number, and what it spoils downstream is what depends on it. Nothing
cancels and nothing underflows, as it does with small impulses and gradients, so the result is the structural field,
whatever the weights; max pooling and ReLU pass NaN on. In float64, because torch then convolves tap by tap; the fast
float32 kernels mix neighbouring outputs and would spoil too many.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

LARGEST_RADIUS_PX = 2048


def receptive_radius_px(network: nn.Module, *, scale: int = 1, stride_px: int = 1) -> int:
    """Return the input px on each side of an output px's own place that can change it.

    `network` maps (n, 3, y, x) to (n, c, scale y, scale x); output px q lies in input px q // scale. All positions on
    the stride's grid and all output phases are tried. The number of channels does not matter: measure a narrow network.

    Raises
    ------
    ValueError
        if the field is larger than 2,048 px, as it is behind global pooling, attention or normalisation.
    """
    network = deepcopy(network).double().eval()
    return max(_radius_along(network, scale, stride_px, axis) for axis in (2, 3))


def _radius_along(network: nn.Module, scale: int, stride_px: int, axis: int) -> int:
    """Spoil one px at each position of the stride's grid, along y (axis 2) or x (axis 3) of a thin image."""
    reach = 32
    while reach <= LARGEST_RADIUS_PX:
        reach = -(-reach // stride_px) * stride_px
        positions = torch.arange(reach, reach + stride_px)
        shape = [stride_px, 3, stride_px, stride_px]
        shape[axis] = 2 * reach + stride_px
        image = torch.full(shape, 0.5, dtype=torch.float64)
        image.movedim(axis, 1)[torch.arange(stride_px), positions] = torch.nan
        with torch.inference_mode():
            spoiled: Tensor = network(image).isnan().movedim(axis, 1).flatten(2).any(2)
        distances = _distances(spoiled, positions, scale)
        if distances < reach:
            return distances
        reach *= 2
    msg = f"the network looks farther than {LARGEST_RADIUS_PX} px, or everywhere; it cannot work tile by tile"
    raise ValueError(msg)


def _distances(spoiled: Tensor, positions: Tensor, scale: int) -> int:
    """Return the longest way from a spoiled output px's place to the input px that spoiled it; (n, length) of truth."""
    images, outputs = spoiled.nonzero(as_tuple=True)
    return int((outputs // scale - positions[images]).abs().max())
