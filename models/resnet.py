"""ResNet backbones whose parameters bear torchvision's names, so that its published weights load as they are.

He et al. 2016, "Deep residual learning for image recognition", in torchvision's form (version 1.5): the bottleneck's
3 x 3 convolution carries the stride. With groups it is the ResNeXt of Xie et al. 2017, "Aggregated residual
transformations for deep neural networks".
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
    groups: int = 1
    """Parts that a bottleneck's 3 x 3 convolution works on apart: its cardinality; 1 is a ResNet, 32 a ResNeXt."""
    width_per_group: int = 64
    """Channels of each part in the first stage, where the width is 64; they grow with stage and width."""

    def __post_init__(self) -> None:
        ranges = {
            "depths": len(self.depths) == 4 and all(1 <= depth <= 64 for depth in self.depths),
            "block": self.block in ("basic", "bottleneck"),
            "width": 4 <= self.width <= 256,
            "stem": self.stem in ("imagenet", "small"),
            "classes": self.classes is None or 2 <= self.classes <= 10_000,
            "groups": 1 <= self.groups <= (256 if self.block == "bottleneck" else 1),
            "width_per_group": self.width_per_group == 64 or self._groups_can_be_so_wide(),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a ResNet cannot have {', '.join(wrong)}"
            raise ValueError(msg)

    def _groups_can_be_so_wide(self) -> bool:
        return self.block == "bottleneck" and 1 <= self.width_per_group <= 256 and self.inner(0) >= self.groups

    def inner(self, stage: int) -> int:
        """Return the channels between a bottleneck's 1 x 1 convolutions, in stage 0 to 3."""
        return (self.width << stage) * self.width_per_group // 64 * self.groups


RESNET_18 = ResNetConfig(depths=(2, 2, 2, 2), block="basic", classes=1000)
RESNET_50 = ResNetConfig(depths=(3, 4, 6, 3), classes=1000)
RESNET_101 = ResNetConfig(depths=(3, 4, 23, 3), classes=1000)
RESNET_152 = ResNetConfig(depths=(3, 8, 36, 3), classes=1000)
RESNEXT_101_32X8D = ResNetConfig(depths=(3, 4, 23, 3), classes=1000, groups=32, width_per_group=8)


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
    """1 x 1, 3 x 3, 1 x 1 with the input added: (n, c, y, x) to (n, 4 width, y / stride, x / stride).

    `inner` channels lie between the 1 x 1 convolutions, and the 3 x 3 one works on `groups` parts of them apart.
    """

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int, inner: int, groups: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = convolution(inner, width * self.expansion, 1, bias=False)
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
        expansion = (BasicBlock if config.block == "basic" else Bottleneck).expansion
        self.channels = tuple(width * 2**stage * expansion for stage in range(4))
        """Channels of c2, c3, c4, c5."""
        self.layer1 = self._stage(0, width)
        self.layer2 = self._stage(1, self.channels[0])
        self.layer3 = self._stage(2, self.channels[1])
        self.layer4 = self._stage(3, self.channels[2])
        self.fc = None if config.classes is None else nn.Linear(self.channels[3], config.classes)
        begin_kaiming(self)

    def _stage(self, stage: int, channels_in: int) -> nn.Sequential:
        first = self._block(stage, channels_in, 1 if stage == 0 else 2)
        rest = (self._block(stage, self.channels[stage], 1) for _ in range(self.config.depths[stage] - 1))
        return nn.Sequential(first, *rest)

    def _block(self, stage: int, channels_in: int, stride: int) -> BasicBlock | Bottleneck:
        config, width = self.config, self.config.width * 2**stage
        if config.block == "basic":
            return BasicBlock(channels_in, width, stride)
        return Bottleneck(channels_in, width, stride, config.inner(stage), config.groups)

    @property
    def head(self) -> nn.Linear:
        """The last layer, `fc` in torchvision's words, under the name that it has in every classifier here."""
        if self.fc is None:
            msg = "this ResNet is a backbone without classes; call stages()"
            raise TypeError(msg)
        return self.fc

    def resnets(self) -> dict[str, ResNet]:
        """Return what a torchvision file can be read into: all of it (`models.pretrained`)."""
        return {"": self}

    def stages(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x) to [c2, c3, c4, c5], at strides 4, 8, 16, 32 (1, 2, 4, 8 behind the small stem)."""
        c1 = self.maxpool(functional.relu(self.bn1(self.conv1(image.to(self.conv1.weight.dtype))), inplace=True))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c2, c3, c4, self.layer4(c4)]

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised, to logits (n, classes) of the same type."""
        logits: Tensor = self.head(self.stages(image)[-1].mean((2, 3)))
        return logits.to(image.dtype)


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    """Return the projection for an input that does not fit what it is added to."""
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(
        convolution(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
    )
