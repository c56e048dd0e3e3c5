"""LiteUNet: a U-Net over a small encoder that can begin with ImageNet's weights, at a quarter of NucleiUNet's time.

The encoder is EfficientNet-Lite0's; at full resolution, where the encoder has nothing, a few channels of its own look
at the picture, since outlines are judged to the pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.blocks import begin_kaiming
from models.efficientnet_lite import BLOCKS, EfficientNetLite, block_shapes, from_published
from models.nuclei_unet import DoubleConvolution

WIDTHS = (32, 48, 64, 96)
"""Channels of the decoder at strides 2, 4, 8, 16."""


@dataclass(frozen=True, slots=True)
class LiteUNetConfig:
    """The shape of a `LiteUNet`."""

    blocks: int = 11
    """Blocks of the encoder: 8 or 11 end at stride 16, 16 at stride 32. The more, the further it looks."""
    fine: int = 16
    """Channels at full resolution."""
    classes: int = 3

    def __post_init__(self) -> None:
        ranges = {
            "blocks": 2 <= self.blocks <= BLOCKS,
            "fine": 4 <= self.fine <= 256,
            "classes": 2 <= self.classes <= 64,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a LiteUNet cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class Join(nn.Module):
    """One level up: enlarge by a transposed 2 x 2 convolution, join with what is there, convolve twice."""

    def __init__(self, below: int, beside: int, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(below, channels, 2, stride=2)
        self.convolve = DoubleConvolution(channels + beside, channels)

    def forward(self, below: Tensor, beside: Tensor) -> Tensor:
        """Map (n, below, y, x) and (n, beside, 2y, 2x) to (n, channels, 2y, 2x)."""
        joined: Tensor = self.convolve(torch.cat((beside, self.enlarge(below)), dim=1))
        return joined


class LiteUNet(nn.Module):
    """U-Net: (n, 3, y, x) to logits (n, classes, y, x); y and x are multiples of `stride_px`."""

    def __init__(self, config: LiteUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encode = EfficientNetLite(config.blocks)
        self.look = DoubleConvolution(3, config.fine)
        beside = [config.fine, *self.encode.channels[:-1]]
        widths = [config.fine, *WIDTHS[: len(beside) - 1]]
        below = [*widths[1:], self.encode.channels[-1]]
        self.decode = nn.ModuleList(
            Join(*channels) for channels in reversed(list(zip(below, beside, widths, strict=True)))
        )
        self.classify = nn.Conv2d(config.fine, config.classes, 1)
        for part in (self.look, self.decode, self.classify):
            begin_kaiming(part)

    @property
    def stride_px(self) -> int:
        """Input sides and tile corners are multiples of this, since strided convolutions lie on that grid."""
        return 2 * int(2 ** sum(shape.stride == 2 for shape in block_shapes(self.config.blocks)))

    def pretrained(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the encoder's weights, by the names that they have here, from EfficientNet-Lite0's published ones."""
        return {f"encode.{name}": one for name, one in from_published(tensors, self.config.blocks).items()}

    def contract(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x), normalised, to features at strides 1, 2, 4 and on."""
        picture = image.to(self.classify.weight.dtype)
        return [self.look(picture), *self.encode(picture)]

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised as the bundle's card says, to logits (n, classes, y, x) of the same type."""
        beside = self.contract(image)
        features = beside.pop()
        for decode in self.decode:
            features = decode(features, beside.pop())
        logits: Tensor = self.classify(features)
        return logits.to(image.dtype)
