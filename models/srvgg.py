"""Srvgg: a plain row of convolutions at the input's resolution, the compact generator of Real-ESRGAN.

Wang et al. 2021, "Real-ESRGAN: training real-world blind super-resolution with pure synthetic data" (its repository's
compact network, without skips inside). The last convolution draws all output pixels of an input pixel at once, so that
nothing is computed at the output's resolution: the fastest of the published generators on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_icnr, convolution, weight_type
from models.super_resolution import SCALES, enlarge_bicubic


@dataclass(frozen=True, slots=True)
class SrvggConfig:
    """The shape of an `Srvgg`; the defaults are as published, but for the scale, which was 4."""

    scale: int = 2
    """Output side over input side: 2, 4, 8 or 16."""
    convolutions: int = 32
    """Between the first and the last."""
    channels: int = 64
    residual: Literal["none", "nearest", "bicubic"] = "nearest"
    """How the input is enlarged that the network adds to; `none`: it draws the image."""

    def __post_init__(self) -> None:
        ranges = {
            "scale": self.scale in SCALES,
            "convolutions": 1 <= self.convolutions <= 256,
            "channels": 4 <= self.channels <= 512,
            "residual": self.residual in ("none", "nearest", "bicubic"),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"an SRVGG cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class Srvgg(nn.Module):
    """A row of convolutions: (n, 3, y, x) RGB in [0, 1] to (n, 3, scale y, scale x), about [0, 1]."""

    stride_px = 1
    """Input sides may be anything; tiles may start anywhere."""

    def __init__(self, config: SrvggConfig) -> None:
        super().__init__()
        self.config = config
        widths = [3, *[config.channels] * (config.convolutions + 1)]
        layers = ((convolution(*pair, 3), nn.PReLU(pair[1])) for pair in pairwise(widths))
        self.body = nn.Sequential(*(part for layer in layers for part in layer))
        self.tail = convolution(config.channels, 3 * config.scale**2, 3)
        self.shuffle = nn.PixelShuffle(config.scale)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        if self.config.residual == "none":
            begin_icnr(self.tail, self.config.scale)
        else:  # begin as plain interpolation
            for parameter in self.tail.parameters():
                parameter.zero_()

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) in [0, 1] to (n, 3, scale y, scale x) of the same type, whatever type the weights have."""
        drawn: Tensor = self.shuffle(self.tail(self.body(image.to(weight_type(self))))).to(image.dtype)
        if self.config.residual == "none":
            return drawn
        if self.config.residual == "bicubic":
            return drawn + enlarge_bicubic(image, self.config.scale)
        return drawn + functional.interpolate(image, scale_factor=float(self.config.scale), mode="nearest")
