"""SuperResolver: the residual generator of SRGAN (SRResNet), for factors 2, 4, 8 and 16.

Ledig et al. 2017, "Photo-realistic single image super-resolution using a generative adversarial network": a wide first
convolution, residual blocks at the input's resolution, sub-pixel upsampling by 2 as often as needed, a wide last
convolution. Options of its successors serve tile-wise work: no batch normalisation (Lim et al. 2017, EDSR), a bicubic
skip from input to output, so that the network learns only what bicubic interpolation misses, and a direct tail (Shi et
al. 2016, ESPCN), which leaves nothing to be computed at the output's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_icnr, begin_kaiming, convolution, weight_type

SCALES = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class SuperResolverConfig:
    """The shape of a `SuperResolver`; the defaults are SRResNet-16 as published."""

    scale: int = 2
    """Output side over input side: 2, 4, 8 or 16."""
    blocks: int = 16
    """Residual blocks at the input's resolution."""
    channels: int = 64
    norm: Literal["bn", "none"] = "bn"
    """Batch normalisation behind every convolution of the body, or a bias instead."""
    head_kernel: int = 9
    tail_kernel: int = 9
    residual: Literal["none", "bicubic"] = "none"
    """`none`: the tail draws the image through tanh; `bicubic`: the tail draws what is added to the enlarged input."""
    upsampling: Literal["progressive", "direct"] = "progressive"
    """`progressive`: twice the side as often as needed, then the tail; `direct`: the tail draws all output pixels that
    lie in one of the input at once, and sub-pixel shuffling puts them in their places."""
    activation: Literal["prelu", "relu"] = "prelu"
    res_scale: float = 1.0
    """Factor on what a residual block adds."""

    def __post_init__(self) -> None:
        ranges = {
            "scale": self.scale in SCALES,
            "blocks": 1 <= self.blocks <= 128,
            "channels": 4 <= self.channels <= 512,
            "norm": self.norm in ("bn", "none"),
            "head_kernel": self.head_kernel in (1, 3, 5, 7, 9),
            "tail_kernel": self.tail_kernel in (1, 3, 5, 7, 9),
            "residual": self.residual in ("none", "bicubic"),
            "upsampling": self.upsampling in ("progressive", "direct"),
            "activation": self.activation in ("prelu", "relu"),
            "res_scale": 0 < self.res_scale <= 2,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a super-resolver cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class ResidualBlock(nn.Module):
    """Convolution, activation, convolution, added to the input: (n, c, y, x) to the same shape."""

    def __init__(self, config: SuperResolverConfig) -> None:
        super().__init__()
        self.conv1 = _normed_convolution(config.channels, config.norm)
        self.act = _activation(config)
        self.conv2 = _normed_convolution(config.channels, config.norm)
        self.res_scale = config.res_scale

    def begin_small(self) -> None:
        """Scale what the branch draws by 0.1: without normalisation the sum over many blocks would grow too large.

        Only the second convolution: with both, a branch begins a hundred times too weak and hardly learns.
        """
        for parameter in self.conv2.parameters():
            parameter.mul_(0.1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        branch: Tensor = self.conv2(self.act(self.conv1(features)))
        return features + branch if self.res_scale == 1 else torch.add(features, branch, alpha=self.res_scale)


class Upsampling(nn.Module):
    """Twice the side by sub-pixel convolution (Shi et al. 2016): (n, c, y, x) to (n, c, 2y, 2x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = convolution(channels, 4 * channels, 3)
        self.act = nn.PReLU()
        self.shuffle: nn.Module = nn.PixelShuffle(2)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, 2y, 2x); with its one slope PReLU gives the same on either side of the shuffle."""
        enlarged: Tensor = self.shuffle(self.act(self.conv(features)))
        return enlarged


class SuperResolver(nn.Module):
    """SRResNet: (n, 3, y, x) RGB in [0, 1] to (n, 3, scale y, scale x), about [0, 1] (clamp what is shown)."""

    stride_px = 1
    """Input sides may be anything; tiles may start anywhere."""

    def __init__(self, config: SuperResolverConfig) -> None:
        super().__init__()
        self.config = config
        channels, direct = config.channels, config.upsampling == "direct"
        self.head = nn.Sequential(convolution(3, channels, config.head_kernel), _activation(config))
        self.body = nn.Sequential(*(ResidualBlock(config) for _ in range(config.blocks)))
        self.neck = _normed_convolution(channels, config.norm)
        doublings = 0 if direct else config.scale.bit_length() - 1
        self.up = nn.Sequential(*(Upsampling(channels) for _ in range(doublings)))
        self.tail: nn.Module = convolution(channels, 3 * config.scale**2 if direct else 3, config.tail_kernel)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        begin_kaiming(self)
        for module in self.modules():
            if isinstance(module, Upsampling):
                begin_icnr(module.conv, 2)
            elif isinstance(module, ResidualBlock) and self.config.norm == "none":
                module.begin_small()
        if self.config.residual == "bicubic":  # begin as plain bicubic interpolation
            for parameter in self.tail.parameters():
                parameter.zero_()
        elif self.config.upsampling == "direct" and isinstance(self.tail, nn.Conv2d):
            begin_icnr(self.tail, self.config.scale)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) in [0, 1] to (n, 3, scale y, scale x) of the same type, whatever type the weights have."""
        drawn: Tensor = self.tail(self.up(self._features(image.to(weight_type(self))))).to(image.dtype)
        if self.config.upsampling == "direct":
            drawn = functional.pixel_shuffle(drawn, self.config.scale)
        if self.config.residual == "none":
            return (torch.tanh(drawn) + 1) / 2
        return drawn + enlarge_bicubic(image, self.config.scale)

    def _features(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to (n, c, y, x); apart from `forward` so that what is done with is freed before it grows."""
        first: Tensor = self.head(image)
        features: Tensor = first + self.neck(self.body(first))
        return features


def enlarge_bicubic(image: Tensor, scale: int) -> Tensor:
    """Enlarge (n, c, y, x) by bicubic interpolation with a = -0.5, as Pillow and MATLAB do.

    torch's own bicubic kernel has a = -0.75 and is another operator; its antialiased form has -0.5, and enlarging
    leaves nothing to antialias.
    """
    enlarged: Tensor = functional.interpolate(
        image, scale_factor=float(scale), mode="bicubic", align_corners=False, antialias=True
    )
    return enlarged


def _activation(config: SuperResolverConfig) -> nn.Module:
    return nn.PReLU() if config.activation == "prelu" else nn.ReLU()


def _normed_convolution(channels: int, norm: str) -> nn.Sequential:
    """Return a 3 x 3 convolution with batch normalisation, or with a bias where there is none."""
    if norm == "bn":
        return nn.Sequential(convolution(channels, channels, 3, bias=False), nn.BatchNorm2d(channels))
    return nn.Sequential(convolution(channels, channels, 3))
