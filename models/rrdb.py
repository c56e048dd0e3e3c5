"""Rrdb: residual-in-residual dense blocks, the generator of ESRGAN, in a small size.

Wang et al. 2018, "ESRGAN: enhanced super-resolution generative adversarial networks". Within a dense block every
convolution reads what all before it drew; three dense blocks and a skip make a residual-in-residual one. ESRGAN has 23
of them, and looks 349 px far; the 6 here look 94 px far, which a tile's halo can still hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.blocks import convolution, weight_type
from models.super_resolution import SCALES, enlarge_bicubic

SLOPE = 0.2
RES_SCALE = 0.2
CONVOLUTIONS = 5
DENSE_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class RrdbConfig:
    """The shape of an `Rrdb`; the defaults are ESRGAN's with 6 blocks instead of 23."""

    scale: int = 2
    """Output side over input side: 2, 4, 8 or 16."""
    blocks: int = 6
    channels: int = 64
    growth: int = 32
    """Channels that each convolution of a dense block adds."""
    residual: Literal["none", "bicubic"] = "none"
    """Whether the tail draws the image, or what is added to the enlarged input."""

    def __post_init__(self) -> None:
        ranges = {
            "scale": self.scale in SCALES,
            "blocks": 1 <= self.blocks <= 64,
            "channels": 4 <= self.channels <= 512,
            "growth": 1 <= self.growth <= 256,
            "residual": self.residual in ("none", "bicubic"),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"an RRDB network cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads the input and all before it: (n, c, y, x) to the same shape."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList(
            convolution(channels + drawn * growth, growth, 3) for drawn in range(CONVOLUTIONS - 1)
        )
        self.join = convolution(channels + (CONVOLUTIONS - 1) * growth, channels, 3)
        self.act = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        drawn = features
        for grow in self.grow:
            drawn = torch.cat((drawn, self.act(grow(drawn))), dim=1)
        return torch.add(features, self.join(drawn), alpha=RES_SCALE)


class ResidualDenseBlock(nn.Module):
    """Three dense blocks with a skip around them: (n, c, y, x) to the same shape."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(DENSE_BLOCKS)))

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        return torch.add(features, self.dense(features), alpha=RES_SCALE)


class Rrdb(nn.Module):
    """ESRGAN's generator: (n, 3, y, x) RGB in [0, 1] to (n, 3, scale y, scale x), about [0, 1]."""

    stride_px = 1
    """Input sides may be anything; tiles may start anywhere."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__()
        self.config = config
        channels, doublings = config.channels, config.scale.bit_length() - 1
        self.head = convolution(3, channels, 3)
        self.body = nn.Sequential(*(ResidualDenseBlock(channels, config.growth) for _ in range(config.blocks)))
        self.neck = convolution(channels, channels, 3)
        self.up = nn.Sequential(*(_doubling(channels) for _ in range(doublings)))
        self.refine = nn.Sequential(convolution(channels, channels, 3), nn.LeakyReLU(SLOPE, inplace=True))
        self.tail = convolution(channels, 3, 3)
        if config.residual == "bicubic":  # begin as plain bicubic interpolation
            for parameter in self.tail.parameters():
                nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) in [0, 1] to (n, 3, scale y, scale x) of the same type, whatever type the weights have."""
        enlarged = self.up(self._features(image.to(weight_type(self))))
        drawn: Tensor = self.tail(self.refine(enlarged)).to(image.dtype)
        return drawn if self.config.residual == "none" else drawn + enlarge_bicubic(image, self.config.scale)

    def _features(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to (n, c, y, x); apart from `forward` so that what is done with is freed before it grows."""
        first: Tensor = self.head(image)
        features: Tensor = first + self.neck(self.body(first))
        return features


def _doubling(channels: int) -> nn.Sequential:
    """Return pixels repeated twice along y and x, a convolution, leaky ReLU."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        convolution(channels, channels, 3),
        nn.LeakyReLU(SLOPE, inplace=True),
    )
