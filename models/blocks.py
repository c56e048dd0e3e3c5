"""What the networks share: convolutions that keep the size, and how weights begin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class StridedPointwise(nn.Conv2d):
    """A 1 x 1 convolution at a stride, as `Conv2d` has it: (n, c, y, x) to (n, d, ceil(y / stride), ceil(x / stride)).

    What the stride passes over is dropped first. On CPUs oneDNN's own way (3.12, as in torch 2.13) writes past its
    workspace in the backward pass, if the channels are last and fewer than 16: wrong gradients or a crash
    (github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, d, ceil(y / stride), ceil(x / stride))."""
        rows, columns = self.stride
        return functional.conv2d(input[..., ::rows, ::columns], self.weight, self.bias)


def convolution(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Return a convolution with an odd kernel that keeps the side (at stride 1) by zero padding."""
    if kernel == 1 and stride > 1:
        return StridedPointwise(channels_in, channels_out, 1, stride, bias=bias)
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=bias)


def begin_kaiming(network: nn.Module) -> None:
    """Draw all convolutions from Kaiming's normal distribution (fan in, ReLU gain), biases 0, in place.

    He et al. 2015, "Delving deep into rectifiers". Weights without memory stay without: torch would draw nothing, but
    import its compiler to do so, which takes as long as importing torch.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def begin_icnr(layer: nn.Conv2d, factor: int) -> None:
    """Draw a convolution that feeds `PixelShuffle(factor)` so that the pair starts as nearest-neighbour upsampling.

    All factor² kernels that make up one output channel begin equal (ICNR): no checkerboard at the start. Aitken et al.
    2017, "Checkerboard artifact free sub-pixel convolution".
    """
    if layer.weight.is_meta:
        return
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
