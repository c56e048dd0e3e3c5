"""ResNet backbones whose parameters bear torchvision's names, so that its published weights load as they are.

He et al. 2016, "Deep residual learning for image recognition", in torchvision's form (version 1.5): the bottleneck's
3 x 3 convolution carries the stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from models.blocks import begin_kaiming, convolution


@dataclass(frozen=True, slots=True)
class ResNetConfig:
    """The shape of a `ResNet`; the defaults are ResNet-50 without its classes."""

    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Residual blocks in each of the four stages."""
    block: Literal["basic", "bottleneck"] = "bottleneck"
    width: int = 64
    """Channels of the stem; stages have 1, 2, 4, 8 times as many (bottlenecks put out four times that)."""
    stem: Literal["imagenet", "small"] = "imagenet"
    """`imagenet`: 7 x 7 at stride 2, then pooling at stride 2; `small`: 3 x 3 at stride 1, for patches below 100 px."""
    classes: int | None = None
    """Length of the last layer `fc`; without it the network is a backbone only."""

    def __post_init__(self) -> None:
        ranges = {
            "depths": len(self.depths) == 4 and all(1 <= depth <= 64 for depth in self.depths),
            "block": self.block in ("basic", "bottleneck"),
            "width": 4 <= self.width <= 256,
            "stem": self.stem in ("imagenet", "small"),
            "classes": self.classes is None or 2 <= self.classes <= 10_000,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a ResNet cannot have {', '.join(wrong)}"
            raise ValueError(msg)


RESNET_18 = ResNetConfig(depths=(2, 2, 2, 2), block="basic", classes=1000)
RESNET_50 = ResNetConfig(depths=(3, 4, 6, 3), classes=1000)
RESNET_152 = ResNetConfig(depths=(3, 8, 36, 3), classes=1000)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around which the input is added: (n, c, y, x) to (n, width, y / stride, x / stride)."""

    expansion = 1

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, width, 3, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels_in, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, width, y / stride, x / stride)."""
        branch = functional.relu(self.bn1(self.conv1(features)), inplace=True)
        branch = self.bn2(self.conv2(branch))
        shortcut = features if self.downsample is None else self.downsample(features)
        return functional.relu(branch + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with the input added: (n, c, y, x) to (n, 4 width, y / stride, x / stride)."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, stride=stride, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _shortcut(channels_in, width * self.expansion, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, c, y, x) to (n, 4 width, y / stride, x / stride)."""
        branch = functional.relu(self.bn1(self.conv1(features)), inplace=True)
        branch = functional.relu(self.bn2(self.conv2(branch)), inplace=True)
        branch = self.bn3(self.conv3(branch))
        shortcut = features if self.downsample is None else self.downsample(features)
        return functional.relu(branch + shortcut, inplace=True)


class ResNet(nn.Module):
    """ResNet: (n, 3, y, x), normalised, to logits (n, classes), or to the features of its four stages."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        width, small = config.width, config.stem == "small"
        self.conv1 = convolution(3, width, 3 if small else 7, stride=1 if small else 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        expansion = _BLOCKS[config.block].expansion
        self.channels = tuple(width * 2**stage * expansion for stage in range(4))
        """Channels of c2, c3, c4, c5."""
        self.layer1 = self._stage(0, width)
        self.layer2 = self._stage(1, self.channels[0])
        self.layer3 = self._stage(2, self.channels[1])
        self.layer4 = self._stage(3, self.channels[2])
        self.fc = None if config.classes is None else nn.Linear(self.channels[3], config.classes)
        begin_kaiming(self)

    def _stage(self, stage: int, channels_in: int) -> nn.Sequential:
        block, width = _BLOCKS[self.config.block], self.config.width * 2**stage
        first = block(channels_in, width, 1 if stage == 0 else 2)
        rest = (block(width * block.expansion, width, 1) for _ in range(self.config.depths[stage] - 1))
        return nn.Sequential(first, *rest)

    def stages(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x) to [c2, c3, c4, c5], at strides 4, 8, 16, 32 (1, 2, 4, 8 behind the small stem)."""
        c1 = self.maxpool(functional.relu(self.bn1(self.conv1(image.to(self.conv1.weight.dtype))), inplace=True))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c2, c3, c4, self.layer4(c4)]

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised, to logits (n, classes) of the same type."""
        if self.fc is None:
            msg = "this ResNet is a backbone without classes; call stages()"
            raise TypeError(msg)
        logits: Tensor = self.fc(self.stages(image)[-1].mean((2, 3)))
        return logits.to(image.dtype)


_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    """Return the projection for an input that does not fit what it is added to."""
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(
        convolution(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
    )
