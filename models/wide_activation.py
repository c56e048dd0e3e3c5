"""WideActivation: the generator of WA-SRGAN, residual blocks that widen before the activation, and self-attention.

Shahidi 2021, "Breast cancer histopathology image super-resolution using wide-attention GAN with improved Wasserstein
gradient penalty and perceptual loss". Blocks are those of Yu et al. 2018 (WDSR-B): a 1 x 1 convolution widens, the
activation follows, a linear 1 x 1 convolution narrows to 0.8 of the channels, and only then comes a 3 x 3 one.
Attention (`models.local_attention`) lies between body and upsampling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from models.blocks import begin_icnr, convolution, weight_type
from models.local_attention import AnchorAttention, Attention, SelfAttention, build_attention
from models.super_resolution import SCALES, Upsampling, enlarge_bicubic

LOW_RANK = 0.8


@dataclass(frozen=True, slots=True)
class WideActivationConfig:
    """The shape of a `WideActivation`; the defaults are WA-SRGAN with weight normalisation, made local by windows."""

    scale: int = 2
    """Output side over input side: 2, 4, 8 or 16."""
    blocks: int = 8
    channels: int = 64
    expansion: int = 4
    """Channels in front of the activation over those of the block; 1 is A-SRGAN, attention without widening."""
    norm: Literal["wn", "bn", "none"] = "wn"
    """Of the body: weight normalisation, batch normalisation, or a bias alone."""
    activation: Literal["relu", "prelu"] = "relu"
    """Inside the blocks; elsewhere it is PReLU."""
    res_scale: float = 1.0
    """Factor on what a block adds."""
    attention: Literal["off"] | Attention = "window"
    """`global` and `anchor` with live anchors depend on the whole image: no tile-wise use."""
    window_px: int = 32
    """Side of the squares that `window` and `tile` attend in, input px; even."""
    anchor_side: int = 64
    """Side of the thumbnail that `anchor` attends to."""
    anchors: Literal["live", "fixed"] = "live"
    """Pooled from the image at hand, or stored by `fix_anchors`."""
    residual: Literal["none", "bicubic"] = "none"
    """`none`: the tail draws the image through tanh; `bicubic`: the tail draws what is added to the enlarged input."""

    def __post_init__(self) -> None:
        ranges = {
            "scale": self.scale in SCALES,
            "blocks": 1 <= self.blocks <= 128,
            "channels": 4 <= self.channels <= 512,
            "expansion": 1 <= self.expansion <= 16,
            "norm": self.norm in ("wn", "bn", "none"),
            "activation": self.activation in ("relu", "prelu"),
            "res_scale": 0 < self.res_scale <= 2,
            "attention": self.attention in ("off", "window", "tile", "anchor", "global"),
            "window_px": 2 <= self.window_px <= 256 and self.window_px % 2 == 0,
            "anchor_side": 1 <= self.anchor_side <= 256,
            "anchors": self.anchors in ("live", "fixed"),
            "residual": self.residual in ("none", "bicubic"),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a wide-activation network cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class WideBlock(nn.Module):
    """Widen, activate, narrow, convolve, add: (n, c, y, x) to the same shape."""

    def __init__(self, config: WideActivationConfig) -> None:
        super().__init__()
        channels, wide = config.channels, config.channels * config.expansion
        narrow = int(channels * LOW_RANK)
        self.widen = _normed(convolution(channels, wide, 1), config.norm)
        self.act = nn.PReLU() if config.activation == "prelu" else nn.ReLU(inplace=True)
        self.narrow = _normed(convolution(wide, narrow, 1), config.norm)
        self.conv = _normed(convolution(narrow, channels, 3), config.norm)
        self.res_scale = config.res_scale

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        branch: Tensor = self.conv(self.narrow(self.act(self.widen(features))))
        return features + branch if self.res_scale == 1 else torch.add(features, branch, alpha=self.res_scale)


class WideActivation(nn.Module):
    """WA-SRGAN's generator: (n, 3, y, x) RGB in [0, 1] to (n, 3, scale y, scale x), about [0, 1]."""

    def __init__(self, config: WideActivationConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.head = nn.Sequential(convolution(3, channels, 9), nn.PReLU())
        self.body = nn.Sequential(*(WideBlock(config) for _ in range(config.blocks)))
        self.neck = _normed(convolution(channels, channels, 5), config.norm)
        self.attention = _attention(config)
        self.up = nn.Sequential(*(Upsampling(channels) for _ in range(config.scale.bit_length() - 1)))
        self.tail: nn.Module = convolution(channels, 3, 9)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        for module in self.up:
            if isinstance(module, Upsampling):
                begin_icnr(module.conv, 2)
        if self.config.residual == "bicubic":  # begin as plain bicubic interpolation
            for parameter in self.tail.parameters():
                parameter.zero_()

    @property
    def looks_everywhere(self) -> bool:
        """Whether a pixel depends on the whole image: no tile-wise use."""
        config = self.config
        return config.attention == "global" or (config.attention == "anchor" and config.anchors == "live")

    @property
    def stride_px(self) -> int:
        """Tile corners are multiples of this, since windows lie on that grid."""
        return self.attention.stride_px if isinstance(self.attention, SelfAttention) else 1

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) in [0, 1] to (n, 3, scale y, scale x) of the same type, whatever type the weights have."""
        features = self.attention(self._features(image.to(weight_type(self))))
        drawn: Tensor = self.tail(self.up(features)).to(image.dtype)
        if self.config.residual == "none":
            return (torch.tanh(drawn) + 1) / 2
        return drawn + enlarge_bicubic(image, self.config.scale)

    @torch.no_grad()
    def fix_anchors(self, images: Iterable[Tensor]) -> None:
        """Store the anchors that images (3, y, x) of one size give, as one mosaic; the config says so from now on.

        Raises
        ------
        ValueError
            if the attention has no anchors.
        """
        if not isinstance(self.attention, AnchorAttention):
            msg = f"attention {self.config.attention!r} has no anchors to fix; attention 'anchor' has"
            raise ValueError(msg)
        training = self.training
        self.eval()
        self.attention.fix(torch.cat([self._features(image[None].to(weight_type(self))) for image in images]))
        self.config = replace(self.config, anchors="fixed")
        self.train(training)

    def _features(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to (n, c, y, x), what attention sees."""
        first: Tensor = self.head(image)
        features: Tensor = first + self.neck(self.body(first))
        return features


def _attention(config: WideActivationConfig) -> nn.Module:
    if config.attention == "off":
        return nn.Identity()
    return build_attention(
        config.attention,
        config.channels,
        window_px=config.window_px,
        anchor_side=config.anchor_side,
        fixed_anchors=config.anchors == "fixed",
    )


def _normed(layer: nn.Conv2d, norm: str) -> nn.Module:
    """Return a convolution with weight normalisation, with batch normalisation in place of its bias, or as it is.

    Weight normalisation (Salimans and Kingma 2016): length and direction of each kernel are learnt apart.
    """
    if norm == "wn":
        return weight_norm(layer)  # type: ignore[no-any-return]  # not in torch's own types
    if norm == "bn":
        layer.bias = None
        return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))
    return layer
