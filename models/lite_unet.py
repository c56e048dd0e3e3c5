"""LiteUNet: a U-Net over a small encoder that can begin with ImageNet's weights, at a quarter of NucleiUNet's time.

The encoder is EfficientNet-Lite0's; at full resolution, where the encoder has nothing, a few channels of its own look
at the picture, since outlines are judged to the pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_icnr, begin_kaiming, convolution
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
    """Channels of the decoder, and of a look of its own at the picture, at the finest stride."""
    classes: int = 3
    finest: int = 1
    """Stride of the finest features, 1 or 2. With 2 only the answer has full resolution: the last convolution draws the
    four px of a place at once."""

    def __post_init__(self) -> None:
        ranges = {
            "blocks": 2 <= self.blocks <= BLOCKS,
            "fine": 4 <= self.fine <= 256,
            "classes": 2 <= self.classes <= 64,
            "finest": self.finest in (1, 2),
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


class Meeting(nn.Module):
    """One level up, the last one at stride 2: what is below, beside and in the picture is added, where `Join` joins it.

    Joining is copying; where features are largest, and memory the bound, it takes as long as a convolution.
    """

    def __init__(self, below: int, beside: int, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(below, channels, 2, stride=2)
        self.beside = nn.Sequential(convolution(beside, channels, 3, bias=False), nn.BatchNorm2d(channels))
        self.convolve = nn.Sequential(
            convolution(channels, channels, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, below: Tensor, beside: Tensor, looked: Tensor) -> Tensor:
        """Map (n, below, y, x), (n, beside, 2y, 2x) and (n, channels, 2y, 2x) to (n, channels, 2y, 2x)."""
        met: Tensor = self.convolve(functional.relu(self.beside(beside) + (looked + self.enlarge(below))))
        return met


class LiteUNet(nn.Module):
    """U-Net: (n, 3, y, x) to logits (n, classes, y, x); y and x are multiples of `stride_px`."""

    def __init__(self, config: LiteUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encode = EfficientNetLite(config.blocks)
        beside = self.encode.channels[:-1]
        widths = WIDTHS[: len(beside)]
        below = (*widths[1:], self.encode.channels[-1])
        joins = [Join(*channels) for channels in zip(below, beside, widths, strict=True)]
        if config.finest == 1:
            self.look: nn.Module = DoubleConvolution(3, config.fine)
            self.decode = nn.ModuleList([*reversed(joins), Join(widths[0], config.fine, config.fine)])
            self.classify = nn.Conv2d(config.fine, config.classes, 1)
        else:
            # all 4 x 4 px around the 2 x 2 of a place
            self.look = nn.Sequential(
                nn.Conv2d(3, config.fine, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(config.fine)
            )
            self.decode = nn.ModuleList([*reversed(joins[1:]), Meeting(below[0], beside[0], config.fine)])
            self.classify = convolution(config.fine, config.classes * config.finest**2, 3)
        for part in (self.look, self.decode, self.classify):
            begin_kaiming(part)
        if config.finest > 1:
            begin_icnr(self.classify, config.finest)

    @property
    def stride_px(self) -> int:
        """Input sides and tile corners are multiples of this, since strided convolutions lie on that grid."""
        return 2 * int(2 ** sum(shape.stride == 2 for shape in block_shapes(self.config.blocks)))

    def pretrained(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the encoder's weights, by the names that they have here, from EfficientNet-Lite0's published ones."""
        return {f"encode.{name}": one for name, one in from_published(tensors, self.config.blocks).items()}

    def contract(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x), normalised, to features at strides 1 (or 2, where that is the finest), 2, 4 and on."""
        picture = image.to(self.classify.weight.dtype)
        return [self.look(picture), *self.encode(picture)]

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised as the bundle's card says, to logits (n, classes, y, x) of the same type."""
        beside = self.contract(image)
        features = beside.pop()
        joins, last = list(self.decode)[:-1], self.decode[-1]
        for decode in joins:
            features = decode(features, beside.pop())
        logits: Tensor = self.classify(last(features, *reversed(beside)))
        if self.config.finest > 1:
            logits = functional.pixel_shuffle(logits, self.config.finest)
        return logits.to(image.dtype)
