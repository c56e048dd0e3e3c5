"""Discriminators: what tells a drawn image from a scanned one, for adversarial training.

Each maps (n, 3, y, x) RGB in [0, 1] to logits without a sigmoid (`models.adversarial` knows what to do with them): one
logit an image, (n, 1), or one a px, (n, 1, y, x). They serve training alone and are no part of a bundle. `width` is the
channels of the first convolution; everything else follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from models.blocks import begin_kaiming, convolution

SLOPE = 0.2
"""Of the LeakyReLU below 0."""


class SRGANDiscriminator(nn.Sequential):
    """SRGAN's discriminator with global average pooling: (n, 3, y, x) to logits (n, 1).

    Ledig et al. 2017. The published one flattens before its dense layers, which fixes the crop and takes 134 million
    weights at 256 px. Batch normalisation mixes the images of a batch: not for `wgan_gp`, whose penalty is an image's.
    """

    def __init__(self, width: int = 64) -> None:
        layers: list[nn.Module] = [convolution(3, width, 3), nn.LeakyReLU(SLOPE)]
        for channels_in, channels_out, stride in _ladder(width):
            layers += [convolution(channels_in, channels_out, 3, stride=stride, bias=False)]
            layers += [nn.BatchNorm2d(channels_out), nn.LeakyReLU(SLOPE)]
        super().__init__(*layers, *_judgement(width, nn.LeakyReLU(SLOPE)))
        begin_kaiming(self)


class SelfAttention(nn.Module):
    """Self-attention over all places, added with a learned weight that begins at 0: (n, c, y, x) to the same shape.

    Zhang et al. 2019, "Self-attention generative adversarial networks": A = softmax over j of q_i . k_j (not divided by
    the root of their length c / 8), y = x + gamma A v.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, c, y, x)."""
        query, key, value = (
            project(features).flatten(2).transpose(1, 2).unsqueeze(1)  # (n, 1 head, y x, channels)
            for project in (self.query, self.key, self.value)
        )
        attended = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        return features + self.gamma * attended.squeeze(1).transpose(1, 2).reshape(features.shape)


class WACritic(nn.Sequential):
    """WA-SRGAN's critic: weight norm, PReLU, self-attention at 1/8 of the side; (n, 3, y, x) to logits (n, 1).

    Nothing in it mixes the images of a batch, as WGAN-GP needs. Salimans and Kingma 2016, "Weight normalization".
    """

    def __init__(self, width: int = 64) -> None:
        layers: list[nn.Module] = [convolution(3, width, 3), nn.PReLU()]
        for channels_in, channels_out, stride in _ladder(width):
            layers += [convolution(channels_in, channels_out, 3, stride=stride), nn.PReLU()]
            if (channels_out, stride) == (4 * width, 2):  # the third halving
                layers.append(SelfAttention(channels_out))
        super().__init__(*layers, *_judgement(width, nn.PReLU()))
        begin_kaiming(self)
        for layer in layers[2:]:  # only now: a parametrised weight cannot be drawn in place
            if isinstance(layer, nn.Conv2d):
                weight_norm(layer)


class STNDiscriminator(nn.Sequential):
    """The small discriminator of the STN paper: two convolutions, two dense layers; (n, 3, y, x) to logits (n, 1).

    The paper leaves the sizes open (these are ours). The convolutions see 5 px: they judge noise, no structure.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__(
            convolution(3, width, 3),
            nn.LeakyReLU(0.01),
            convolution(width, 2 * width, 3, stride=2),
            nn.LeakyReLU(0.01),
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(2 * width * 36, 4 * width),
            nn.LeakyReLU(0.01),
            nn.Linear(4 * width, 1),
        )
        begin_kaiming(self)


class UNetDiscriminator(nn.Module):
    """A U-Net with spectral norm: (n, 3, y, x) to a logit a px, (n, 1, y, x); both sides at least 8 px.

    Wang et al. 2021, "Real-ESRGAN", after Schönfeld et al. 2020; Miyato et al. 2018, "Spectral normalization". A logit
    a px says where an image looks drawn. Nothing in it mixes the images of a batch.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        pairs = list(pairwise(widths))
        self.head = convolution(3, width, 3)
        self.down = nn.ModuleList(nn.Conv2d(above, below, 4, 2, 1, bias=False) for above, below in pairs)
        self.up = nn.ModuleList(convolution(below, above, 3, bias=False) for above, below in reversed(pairs))
        self.body = nn.ModuleList(convolution(width, width, 3, bias=False) for _ in range(2))
        self.tail = convolution(width, 1, 3)
        begin_kaiming(self)
        for layer in (*self.down, *self.up, *self.body):
            spectral_norm(layer)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) to logits (n, 1, y, x)."""
        features = functional.leaky_relu(self.head(image), SLOPE)
        beside: list[Tensor] = []
        for halve in self.down:
            beside.append(features)
            features = functional.leaky_relu(halve(features), SLOPE)
        for convolve in self.up:
            same = beside.pop()
            # To the size of what it is added to: twice the side, or one px more where that was odd.
            features = functional.interpolate(features, size=same.shape[2:], mode="bilinear", align_corners=False)
            features = functional.leaky_relu(convolve(features), SLOPE) + same
        for convolve in self.body:
            features = functional.leaky_relu(convolve(features), SLOPE)
        logits: Tensor = self.tail(features)
        return logits


class DiscriminatorFactory(Protocol):
    """Makes a discriminator with fresh weights; `width` scales its channels (64: the published size)."""

    def __call__(self, width: int = 64) -> nn.Module:
        """Return the network."""
        ...


DISCRIMINATORS: Mapping[str, DiscriminatorFactory] = {
    "srgan": SRGANDiscriminator,
    "stn_003": STNDiscriminator,
    "wa_critic": WACritic,
    "unet_sn": UNetDiscriminator,
}


def _ladder(width: int) -> Iterator[tuple[int, int, int]]:
    """Yield channels in, channels out, stride of SRGAN's seven convolutions behind the first: to 1/16 of the side."""
    yield width, width, 2
    for channels in (width, 2 * width, 4 * width):
        yield channels, 2 * channels, 1
        yield 2 * channels, 2 * channels, 2


def _judgement(width: int, activation: nn.Module) -> tuple[nn.Module, ...]:
    """Return what makes one logit of (n, 8 width, y, x); the 1 x 1 convolutions are dense layers behind the pooling."""
    dense, last = nn.Conv2d(8 * width, 16 * width, 1), nn.Conv2d(16 * width, 1, 1)
    return nn.AdaptiveAvgPool2d(1), dense, activation, last, nn.Flatten()
