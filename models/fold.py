"""Rewrite a trained network into one that computes the same faster. Algebra only: no value changes but by rounding.

- Weight normalisation computes each kernel from a length and a direction; the kernel itself takes their place.
- Batch normalisation in eval mode is a factor and a summand a channel: both go into the convolution before it.
- Frozen gates of squeeze-and-excitation are a factor a channel: they go the same way.
- PReLU with one slope becomes LeakyReLU, which can work in place. With a slope a channel it stays.
- The last upsampling and the tail: a convolution behind `PixelShuffle(2)` equals a convolution of half the reach in
  front of it, with four times the channels on either side. The shuffle then moves 3 channels instead of 64, and the
  tail fills the vector registers that 3 output channels leave empty.
- Padding of an even sum is the convolution's own; one that is uneven becomes even where the kernel gets a rim of zeros.
- A 1 x 1 convolution to a few channels becomes a 3 x 3 one with a ring of zeros: oneDNN adds up the former in an order
  that depends on the number of threads, the latter not, and it costs one or two percent of a U-Net.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.edsr_ise import EdsrIse
from models.efficientnet_lite import SameConvolution
from models.squeeze import SqueezeExcitation
from models.super_resolution import SuperResolver
from models.wide_activation import WideActivation

_Network = TypeVar("_Network", bound=nn.Module)


@torch.no_grad()
def fold(network: _Network) -> _Network:
    """Return a copy, for inference only, that gives the same output up to rounding."""
    folded = deepcopy(network).eval().requires_grad_(requires_grad=False)
    for module in list(folded.modules()):
        _fold_weight_norm(module)
        _fold_normalisation(module)
        _fold_gates(module)
        _fold_slopes(module)
        _fold_padding(module)
        _fold_narrow(module)
    if isinstance(folded, SuperResolver | WideActivation | EdsrIse):
        _fold_shuffle(folded)
    return folded


def _fold_weight_norm(parent: nn.Module) -> None:
    """Put a plain convolution with the kernels themselves in place of one that computes them.

    torch's own removal would take the kernels from the original network too: a copy shares its class.
    """
    for name, normed in parent.named_children():
        if isinstance(normed, nn.Conv2d) and parametrize.is_parametrized(normed, "weight"):
            kernel, reach = normed.kernel_size[0], normed.kernel_size[0] // 2
            plain = nn.Conv2d(normed.in_channels, normed.out_channels, kernel, padding=reach)
            plain.weight = nn.Parameter(normed.weight.detach(), requires_grad=False)
            plain.bias = normed.bias
            setattr(parent, name, plain)


def _fold_normalisation(parent: nn.Module) -> None:
    """Join each convolution with the batch normalisation registered directly behind it.

    In every network here a module's parts are registered in the order in which they are called.
    """
    parts = list(parent.named_children())
    for (name, convolution), (name_behind, normalisation) in pairwise(parts):
        if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
            setattr(parent, name, fuse_conv_bn_eval(convolution, normalisation))
            setattr(parent, name_behind, nn.Identity())


def _fold_gates(parent: nn.Module) -> None:
    """Multiply frozen gates into the convolution registered directly before them."""
    parts = list(parent.named_children())
    for (_, convolution), (name_behind, gates) in pairwise(parts):
        if isinstance(convolution, nn.Conv2d) and isinstance(gates, SqueezeExcitation) and gates.is_frozen:
            gain = gates.gain(gates.gate)
            convolution.weight.mul_(gain[:, None, None, None])
            if convolution.bias is not None:
                convolution.bias.mul_(gain)
            setattr(parent, name_behind, nn.Identity())


def _fold_slopes(parent: nn.Module) -> None:
    """Replace PReLU with one slope by LeakyReLU in place; in every network here it follows a convolution."""
    for name, activation in parent.named_children():
        if isinstance(activation, nn.PReLU) and activation.num_parameters == 1:
            setattr(parent, name, nn.LeakyReLU(float(activation.weight), inplace=True))


def _fold_padding(parent: nn.Module) -> None:
    """Put a convolution that pads by itself in place of one that has its input padded, which copies it."""
    for name, same in parent.named_children():
        if isinstance(same, SameConvolution):
            before, after = same.around[:2]
            uneven = after - before  # 0, or 1 where the stride is even
            kernel = same.kernel_size[0] + uneven
            stride, groups = same.stride[0], same.groups
            plain = nn.Conv2d(same.in_channels, same.out_channels, kernel, stride, padding=after, groups=groups)
            weight = functional.pad(same.weight, (uneven, 0, uneven, 0))
            plain.weight = nn.Parameter(weight, requires_grad=False)
            plain.bias = same.bias
            setattr(parent, name, plain)


def _fold_narrow(parent: nn.Module) -> None:
    """Put a ring of zeros around 1 x 1 kernels whose outputs do not fill a vector register."""
    for name, convolution in parent.named_children():
        if not isinstance(convolution, nn.Conv2d) or convolution.stride != (1, 1):
            continue
        if convolution.kernel_size == (1, 1) and convolution.out_channels < 16:
            wide = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1)
            wide.weight = nn.Parameter(functional.pad(convolution.weight, (1, 1, 1, 1)), requires_grad=False)
            wide.bias = convolution.bias
            setattr(parent, name, wide)


def _fold_shuffle(network: SuperResolver | WideActivation | EdsrIse) -> None:
    """Move the last `PixelShuffle(2)` in front of the tail behind it; a tail that draws all pixels at once has none."""
    tail = network.tail
    if not isinstance(tail, nn.Conv2d):
        msg = "the network is folded already"
        raise TypeError(msg)
    shuffles = [
        (stage, name)
        for stage in network.up.modules()
        for name, part in stage.named_children()
        if isinstance(part, nn.PixelShuffle)
    ]
    if shuffles:
        stage, name = shuffles[-1]
        setattr(stage, name, nn.Identity())
        network.tail = nn.Sequential(before_shuffle(tail), nn.PixelShuffle(2))


def before_shuffle(convolution: nn.Conv2d) -> nn.Conv2d:
    """Return the convolution that, in front of `PixelShuffle(2)`, equals the given one behind it.

    Output px 2Y + d, tap i, reads enlarged px 2Y + d + i = 2(Y + t) + e: tap t of input phase e, for output phase d.
    `PixelShuffle` counts phases last: enlarged channel c at phase (ey, ex) is channel 4c + 2ey + ex.
    """
    reach = convolution.kernel_size[0] // 2
    taps = -(-reach // 2)
    outputs, inputs = convolution.out_channels, convolution.in_channels
    weight = convolution.weight.new_zeros(outputs, 2, 2, inputs, 2, 2, 2 * taps + 1, 2 * taps + 1)
    for phase_y in range(2):
        for phase_x in range(2):
            for tap_y in range(-reach, reach + 1):
                for tap_x in range(-reach, reach + 1):
                    (to_y, from_y), (to_x, from_x) = divmod(phase_y + tap_y, 2), divmod(phase_x + tap_x, 2)
                    weight[:, phase_y, phase_x, :, from_y, from_x, to_y + taps, to_x + taps] = convolution.weight[
                        :, :, tap_y + reach, tap_x + reach
                    ]
    moved = nn.Conv2d(4 * inputs, 4 * outputs, 2 * taps + 1, padding=taps, bias=convolution.bias is not None)
    moved.weight = nn.Parameter(weight.reshape(moved.weight.shape), requires_grad=False)
    if convolution.bias is not None:
        moved.bias = nn.Parameter(convolution.bias.detach().repeat_interleave(4), requires_grad=False)
    return moved
