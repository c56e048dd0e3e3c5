"""EdsrIse: residual blocks without normalisation, each with squeeze-and-excitation.

Lim et al. 2017, "Enhanced deep residual networks for single image super-resolution" (EDSR), with the gates of
`models.squeeze` at the end of each block, as in EDSR-GAN with improved SE. The enlarged input is added to what the
network draws. Live gates depend on the whole image; `freeze_gates` makes the network local.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.blocks import begin_icnr, convolution, weight_type
from models.squeeze import SqueezeExcitation
from models.super_resolution import SCALES, enlarge_bicubic


@dataclass(frozen=True, slots=True)
class EdsrIseConfig:
    """The shape of an `EdsrIse`; the defaults are EDSR's small one, 16 blocks of 64 channels."""

    scale: int = 2
    """Output side over input side: 2, 4, 8 or 16."""
    blocks: int = 16
    channels: int = 64
    res_scale: float = 0.1
    """Factor on what a block adds."""
    se: Literal["none", "plain", "improved"] = "improved"
    """Gates that multiply by s, or by 1 + s."""
    gates: Literal["live", "frozen"] = "live"
    """From the image at hand, or stored by `freeze_gates`."""
    residual: Literal["none", "bicubic"] = "bicubic"
    """Whether the tail draws the image, or what is added to the enlarged input."""

    def __post_init__(self) -> None:
        ranges = {
            "scale": self.scale in SCALES,
            "blocks": 1 <= self.blocks <= 128,
            "channels": 4 <= self.channels <= 512,
            "res_scale": 0 < self.res_scale <= 2,
            "se": self.se in ("none", "plain", "improved"),
            "gates": self.gates in ("live", "frozen"),
            "residual": self.residual in ("none", "bicubic"),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"an EDSR-ISE cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class GatedBlock(nn.Module):
    """Convolution, ReLU, convolution, gates, added to the input: (n, c, y, x) to the same shape."""

    def __init__(self, config: EdsrIseConfig) -> None:
        super().__init__()
        self.conv1 = convolution(config.channels, config.channels, 3)
        self.act = nn.ReLU(inplace=True)
        self.conv2 = convolution(config.channels, config.channels, 3)
        self.gate = _gate(config)
        self.res_scale = config.res_scale

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        return self.join(features, self.branch(features))

    def branch(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to what the gates weigh, (n, c, y, x)."""
        drawn: Tensor = self.conv2(self.act(self.conv1(features)))
        return drawn

    def join(self, features: Tensor, branch: Tensor) -> Tensor:
        """Return the features with the gated branch added."""
        return torch.add(features, self.gate(branch), alpha=self.res_scale)


class EdsrIse(nn.Module):
    """EDSR with gates: (n, 3, y, x) RGB in [0, 1] to (n, 3, scale y, scale x), about [0, 1]."""

    stride_px = 1
    """Input sides may be anything; tiles may start anywhere."""

    def __init__(self, config: EdsrIseConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.head = convolution(3, channels, 3)
        self.body = nn.Sequential(*(GatedBlock(config) for _ in range(config.blocks)))
        self.neck = convolution(channels, channels, 3)
        doublings = config.scale.bit_length() - 1
        self.up = nn.Sequential(
            *(layer for _ in range(doublings) for layer in (convolution(channels, 4 * channels, 3), nn.PixelShuffle(2)))
        )
        self.tail: nn.Module = convolution(channels, 3, 3)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        for module in self.up:
            if isinstance(module, nn.Conv2d):
                begin_icnr(module, 2)
        if self.config.residual == "bicubic":  # begin as plain bicubic interpolation
            for parameter in self.tail.parameters():
                parameter.zero_()

    @property
    def looks_everywhere(self) -> bool:
        """Whether a pixel depends on the whole image: no tile-wise use."""
        return self.config.se != "none" and self.config.gates == "live"

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) in [0, 1] to (n, 3, scale y, scale x) of the same type, whatever type the weights have."""
        drawn: Tensor = self.tail(self.up(self._features(image.to(weight_type(self))))).to(image.dtype)
        return drawn if self.config.residual == "none" else drawn + enlarge_bicubic(image, self.config.scale)

    def _features(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to (n, c, y, x); apart from `forward` so that what is done with is freed before it grows."""
        first: Tensor = self.head(image)
        features: Tensor = first + self.neck(self.body(first))
        return features

    @torch.no_grad()
    def freeze_gates(self, images: Iterable[Tensor]) -> None:
        """Store each block's mean gate over images (3, y, x), and use it from now on; the config says so.

        Gates that were frozen before are measured anew.

        Raises
        ------
        ValueError
            if the network has no gates, or there is no image.
        """
        blocks = [block for block in self.body if isinstance(block, GatedBlock)]
        gates = [block.gate for block in blocks if isinstance(block.gate, SqueezeExcitation)]
        for gate in gates:
            gate.thaw()
        seen = [self._live_gates(blocks, image[None]) for image in images] if gates else []
        if not seen:
            msg = f"no gates to freeze: {len(gates)} of {len(blocks)} blocks have any, measured on {len(seen)} images"
            raise ValueError(msg)
        for gate, mean in zip(gates, torch.stack(seen).mean(0), strict=True):
            gate.freeze(mean)
        self.config = replace(self.config, gates="frozen")

    def _live_gates(self, blocks: Iterable[GatedBlock], image: Tensor) -> Tensor:
        """Return the gates (blocks, c) of one image (1, 3, y, x)."""
        features, seen = self.head(image.to(weight_type(self))), []
        for block in blocks:
            branch = block.branch(features)
            seen.append(cast(SqueezeExcitation, block.gate).weigh(branch)[0])
            features = block.join(features, branch)
        return torch.stack(seen)


def _gate(config: EdsrIseConfig) -> nn.Module:
    if config.se == "none":
        return nn.Identity()
    return SqueezeExcitation(config.channels, config.se, frozen=config.gates == "frozen")
