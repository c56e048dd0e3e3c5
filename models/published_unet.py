"""PublishedUNet: the U-Net of Juhong et al. (SRGAN + U-Net for breast cancer nuclei), as its authors' code builds it.

No normalisation, dropout at the two deepest levels, enlargement by repetition and an even 2 x 2 convolution that pads
below and to the right, and a bottleneck of two channels before the only output. It tells nucleus from background and
knows no contours, so touching nuclei are parted by the instance step alone. Kept to be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_kaiming, convolution

DROPOUT_LEVELS = 2
"""How many of the deepest levels drop half of their features."""


@dataclass(frozen=True, slots=True)
class PublishedUNetConfig:
    """The shape of a `PublishedUNet`; the authors' has base 64, depth 4."""

    base: int = 64
    """Channels at full resolution; twice as many at each level below."""
    depth: int = 4
    """How often the side is halved."""

    @property
    def classes(self) -> int:
        """Background and nucleus."""
        return 2

    def __post_init__(self) -> None:
        ranges = {"base": 2 <= self.base <= 256, "depth": 1 <= self.depth <= 6}
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a published U-Net cannot have {', '.join(wrong)}"
            raise ValueError(msg)


def twice_convolved(channels_in: int, channels_out: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions, each with ReLU: (n, c_in, y, x) to (n, c_out, y, x)."""
    first, second = convolution(channels_in, channels_out, 3), convolution(channels_out, channels_out, 3)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


class Repeating(nn.Module):
    """One level up: repeat every px 2 x 2, convolve 2 x 2, join with the encoder's features, convolve twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.soften = nn.Conv2d(2 * channels, channels, 2)
        self.convolve = twice_convolved(2 * channels, channels)

    def forward(self, below: Tensor, beside: Tensor) -> Tensor:
        """Map (n, 2c, y, x) and (n, c, 2y, 2x) to (n, c, 2y, 2x)."""
        repeated = functional.interpolate(below, scale_factor=2.0, mode="nearest")
        softened = functional.relu(self.soften(functional.pad(repeated, (0, 1, 0, 1))))
        joined: Tensor = self.convolve(torch.cat((beside, softened), dim=1))
        return joined


class PublishedUNet(nn.Module):
    """U-Net: (n, 3, y, x) in [0, 1] to logits (n, 2, y, x) of background and nucleus, of which the first are 0."""

    def __init__(self, config: PublishedUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base * 2**level for level in range(config.depth + 1)]
        self.encode = nn.ModuleList(
            twice_convolved(above, width) for above, width in zip([3, *widths], widths, strict=False)
        )
        self.dropout = nn.Dropout(0.5)
        self.decode = nn.ModuleList(Repeating(width) for width in reversed(widths[:-1]))
        self.narrow = convolution(config.base, 2, 3)
        self.classify = nn.Conv2d(2, 1, 1)
        begin_kaiming(self)

    @property
    def stride_px(self) -> int:
        """Input sides and tile corners are multiples of this, since pooling windows lie on that grid."""
        return int(2**self.config.depth)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to logits (n, 2, y, x) of the same type; y and x are multiples of `stride_px`."""
        features = image.to(self.classify.weight.dtype)
        beside: list[Tensor] = []
        for level, encode in enumerate(self.encode):
            if level:
                beside.append(features)
                features = functional.max_pool2d(features, 2)
            features = encode(features)
            if level > self.config.depth - DROPOUT_LEVELS:
                features = self.dropout(features)
        for decode in self.decode:
            features = decode(features, beside.pop())
        nucleus: Tensor = self.classify(functional.relu(self.narrow(features)))
        return torch.cat((torch.zeros_like(nucleus), nucleus), dim=1).to(image.dtype)
