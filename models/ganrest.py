"""Ganrest: a patch classifier that joins the last stages of two ResNets, as GANREST was published.

Both backbones' last features are laid on each other, mixed by a 1 x 1 convolution and pooled; the paper calls this
multi-scale, but there is one scale. `HybridResNet` joins three, at less cost. The rule here is the authors' own code;
what it does before the classifier (super-resolution) is the pipeline's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.blocks import begin_kaiming
from models.resnet import ResNet, ResNetConfig


@dataclass(frozen=True, slots=True)
class GanrestConfig:
    """The shape of a `Ganrest`; the defaults join ResNet-50 and ResNet-152, as published."""

    classes: int = 2
    depths_a: tuple[int, int, int, int] = (3, 4, 6, 3)
    depths_b: tuple[int, int, int, int] = (3, 8, 36, 3)
    block: Literal["basic", "bottleneck"] = "bottleneck"
    width: int = 64
    """Channels of both stems; the joint features have as many channels as one backbone's last stage."""
    dropout: float = 0.5
    stem: Literal["imagenet", "small"] = "imagenet"
    """`small` (3 x 3 at stride 1, no pooling) for patches below about 100 px."""

    def __post_init__(self) -> None:
        ranges = {"classes": 2 <= self.classes <= 1000, "dropout": 0 <= self.dropout < 1}
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a GANREST cannot have {', '.join(wrong)}"
            raise ValueError(msg)

    def backbone(self, depths: tuple[int, int, int, int]) -> ResNetConfig:
        """Return the config of one backbone; a value that no ResNet can have raises there."""
        return ResNetConfig(depths=depths, block=self.block, width=self.width, stem=self.stem)


class Ganrest(nn.Module):
    """Two ResNets, joined at the end: (n, 3, y, x), normalised, to logits (n, classes)."""

    def __init__(self, config: GanrestConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone_a = ResNet(config.backbone(config.depths_a))
        self.backbone_b = ResNet(config.backbone(config.depths_b))
        channels = self.backbone_a.channels[-1]
        # the bias does nothing before a batch normalisation; the published network has it
        self.join = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(channels, config.classes))
        begin_kaiming(self.join)

    def resnets(self) -> dict[str, ResNet]:
        """Return what torchvision files can be read into, one each, in this order (`models.pretrained`)."""
        return {"backbone_a": self.backbone_a, "backbone_b": self.backbone_b}

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised, to logits (n, classes) of the same type; both sides at least 32 px."""
        joint = self.join(torch.cat((self.backbone_a.stages(image)[-1], self.backbone_b.stages(image)[-1]), dim=1))
        logits: Tensor = self.head(joint.mean((2, 3)))
        return logits.to(image.dtype)
