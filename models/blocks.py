"""What the networks share: convolutions that keep the size, and how weights begin."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Return a convolution with an odd kernel that keeps the side (at stride 1) by zero padding."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=bias)


def begin_kaiming(network: nn.Module) -> None:
    """Draw all convolutions from Kaiming's normal distribution (fan in, ReLU gain), biases 0, in place.

    He et al. 2015, "Delving deep into rectifiers".
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def begin_icnr(layer: nn.Conv2d, factor: int) -> None:
    """Draw a convolution that feeds `PixelShuffle(factor)` so that the pair starts as nearest-neighbour upsampling.

    All factor² kernels that make up one output channel begin equal (ICNR): no checkerboard at the start. Aitken et al.
    2017, "Checkerboard artifact free sub-pixel convolution".
    """
    kernels = layer.weight.new_empty(layer.out_channels // factor**2, *layer.weight.shape[1:])
    nn.init.kaiming_normal_(kernels, mode="fan_in", nonlinearity="relu")
    layer.weight.copy_(kernels.repeat_interleave(factor**2, dim=0))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained numbers in a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def weight_type(network: nn.Module) -> torch.dtype:
    """Return the floating type that a network's first parameter has."""
    first: Tensor = next(network.parameters())
    return first.dtype
