"""Juhong: the generator of Juhong et al. 2022, with one convolution a block and nearest-neighbour upsampling.

"Super-resolution and segmentation deep learning for breast cancer histopathology image analysis": as SRResNet, but each
of the 16 blocks is convolution, ReLU, batch normalisation, and upsampling repeats pixels before it convolves, so that
the last layers work on 256 channels at the output's resolution: five times the arithmetic of SRResNet. It is here to be
compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.blocks import convolution, weight_type
from models.super_resolution import SCALES

MOMENTUM = 0.2
"""torch counts the share of the new, Keras (0.8) that of the old."""


@dataclass(frozen=True, slots=True)
class JuhongConfig:
    """The shape of a `Juhong`; the defaults are as published, but for the scale, which was 4."""

    scale: int = 2
    """Output side over input side: 2, 4, 8 or 16."""
    blocks: int = 16
    channels: int = 64
    up_channels: int = 256
    """Behind the first upsampling."""

    def __post_init__(self) -> None:
        ranges = {
            "scale": self.scale in SCALES,
            "blocks": 1 <= self.blocks <= 128,
            "channels": 4 <= self.channels <= 512,
            "up_channels": 4 <= self.up_channels <= 1024,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a Juhong generator cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class SingleBlock(nn.Module):
    """Convolution, ReLU, batch normalisation, added to the input: (n, c, y, x) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = convolution(channels, channels, 3)
        self.act = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(channels, momentum=MOMENTUM)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        joined: Tensor = features + self.norm(self.act(self.conv(features)))
        return joined


class Juhong(nn.Module):
    """The generator of Juhong et al.: (n, 3, y, x) RGB in [0, 1] to (n, 3, scale y, scale x) in [0, 1]."""

    stride_px = 1
    """Input sides may be anything; tiles may start anywhere."""

    def __init__(self, config: JuhongConfig) -> None:
        super().__init__()
        self.config = config
        channels, doublings = config.channels, config.scale.bit_length() - 1
        self.head = nn.Sequential(convolution(3, channels, 9), nn.ReLU(inplace=True))
        self.body = nn.Sequential(*(SingleBlock(channels) for _ in range(config.blocks)))
        self.neck = nn.Sequential(convolution(channels, channels, 3), nn.BatchNorm2d(channels, momentum=MOMENTUM))
        widths = [channels, *[config.up_channels] * doublings]
        self.up = nn.Sequential(*(_doubling(*pair) for pair in pairwise(widths)))
        self.tail = convolution(config.up_channels, 3, 9)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) in [0, 1] to (n, 3, scale y, scale x) of the same type; inside, images span [-1, 1]."""
        drawn: Tensor = self.tail(self.up(self._features(image.to(weight_type(self))))).to(image.dtype)
        return (torch.tanh(drawn) + 1) / 2

    def _features(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to (n, c, y, x); apart from `forward` so that what is done with is freed before it grows."""
        first: Tensor = self.head(2 * image - 1)
        features: Tensor = first + self.neck(self.body(first))
        return features


def _doubling(channels_in: int, channels_out: int) -> nn.Sequential:
    """Return pixels repeated twice along y and x, a convolution, ReLU."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"), convolution(channels_in, channels_out, 3), nn.ReLU(inplace=True)
    )
