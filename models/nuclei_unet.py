"""NucleiUNet: which pixels are nucleus, which are the border between two.

A U-Net (Ronneberger et al. 2015) with batch normalisation and padded convolutions, so that output and input have the
same side. Three classes in the manner of the DCAN family: background, interior, contour; the instance step takes the
interior as seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_kaiming, convolution


@dataclass(frozen=True, slots=True)
class NucleiUNetConfig:
    """The shape of a `NucleiUNet`."""

    base: int = 32
    """Channels at full resolution; twice as many at each level below."""
    depth: int = 4
    """How often the side is halved."""
    classes: int = 3

    def __post_init__(self) -> None:
        ranges = {"base": 2 <= self.base <= 256, "depth": 1 <= self.depth <= 6, "classes": 2 <= self.classes <= 64}
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a nuclei U-Net cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class DoubleConvolution(nn.Sequential):
    """Twice convolution 3 x 3, batch normalisation, ReLU: (n, c_in, y, x) to (n, c_out, y, x)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            convolution(channels_in, channels_out, 3, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            convolution(channels_out, channels_out, 3, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class Decoding(nn.Module):
    """One level up: enlarge by a transposed 2 x 2 convolution, join with the encoder's features, convolve twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.convolve = DoubleConvolution(2 * channels, channels)

    def forward(self, below: Tensor, beside: Tensor) -> Tensor:
        """Map (n, 2c, y, x) and (n, c, 2y, 2x) to (n, c, 2y, 2x)."""
        joined: Tensor = self.convolve(torch.cat((beside, self.enlarge(below)), dim=1))
        return joined


class NucleiUNet(nn.Module):
    """U-Net: (n, 3, y, x) to logits (n, classes, y, x); y and x are multiples of `stride_px`."""

    def __init__(self, config: NucleiUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base * 2**level for level in range(config.depth + 1)]
        self.encode = nn.ModuleList(
            DoubleConvolution(above, width) for above, width in zip([3, *widths], widths, strict=False)
        )
        self.decode = nn.ModuleList(Decoding(width) for width in reversed(widths[:-1]))
        self.classify = nn.Conv2d(config.base, config.classes, 1)
        begin_kaiming(self)

    @property
    def stride_px(self) -> int:
        """Input sides and tile corners are multiples of this, since pooling windows lie on that grid."""
        return int(2**self.config.depth)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised as the bundle's card says, to logits (n, classes, y, x) of the same type."""
        features = image.to(self.classify.weight.dtype)
        beside: list[Tensor] = []
        for level, encode in enumerate(self.encode):
            if level:
                beside.append(features)
                features = functional.max_pool2d(features, 2)
            features = encode(features)
        for decode in self.decode:
            features = decode(features, beside.pop())
        logits: Tensor = self.classify(features)
        return logits.to(image.dtype)
