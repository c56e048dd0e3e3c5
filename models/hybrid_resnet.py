"""HybridResNet: a patch classifier that joins three scales of two ResNets of different depth.

After GANREST, which joins ResNet-50 and ResNet-152 at their last stage only; here stages 2, 3 and 4 of both (strides 8,
16, 32) are pooled, projected and joined, so that texture of every scale reaches the decision. Pooling comes before the
projection, so any input of 32 px or more fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.resnet import ResNet, ResNetConfig


@dataclass(frozen=True, slots=True)
class HybridResNetConfig:
    """The shape of a `HybridResNet`; the defaults join ResNet-50 and ResNet-152."""

    classes: int = 2
    depths_a: tuple[int, int, int, int] = (3, 4, 6, 3)
    depths_b: tuple[int, int, int, int] = (3, 8, 36, 3)
    block: Literal["basic", "bottleneck"] = "bottleneck"
    width: int = 64
    """Channels of both stems."""
    embed: int = 256
    """Length that each stage is projected to."""
    hidden: int = 512
    dropout: float = 0.3
    stem: Literal["imagenet", "small"] = "imagenet"
    """`small` (3 x 3 at stride 1, no pooling) for patches below about 100 px."""

    def __post_init__(self) -> None:
        ranges = {
            "classes": 2 <= self.classes <= 1000,
            "embed": 1 <= self.embed <= 4096,
            "hidden": 1 <= self.hidden <= 4096,
            "dropout": 0 <= self.dropout < 1,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a hybrid ResNet cannot have {', '.join(wrong)}"
            raise ValueError(msg)

    def backbone(self, depths: tuple[int, int, int, int]) -> ResNetConfig:
        """Return the config of one backbone; a value that no ResNet can have raises there."""
        return ResNetConfig(depths=depths, block=self.block, width=self.width, stem=self.stem)


class HybridLogits(NamedTuple):
    """Logits (n, classes) of the joint head and of the two auxiliary heads."""

    joint: Tensor
    auxiliary_a: Tensor
    auxiliary_b: Tensor


class StageProjections(nn.Module):
    """Stages 2, 3, 4 of one backbone, each pooled over space and projected: three (n, embed)."""

    def __init__(self, channels: tuple[int, ...], embed: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, embed), nn.GELU()) for width in channels
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map three (n, c, y, x) to three (n, embed)."""
        return [project(stage.mean((2, 3))) for project, stage in zip(self.stages, features, strict=True)]


class HybridResNet(nn.Module):
    """Two ResNets, one head: (n, 3, y, x), normalised, to logits (n, classes)."""

    def __init__(self, config: HybridResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone_a = ResNet(config.backbone(config.depths_a))
        self.backbone_b = ResNet(config.backbone(config.depths_b))
        self.project_a = StageProjections(self.backbone_a.channels[1:], config.embed)
        self.project_b = StageProjections(self.backbone_b.channels[1:], config.embed)
        self.head = nn.Sequential(
            nn.LayerNorm(6 * config.embed),
            nn.Dropout(config.dropout),
            nn.Linear(6 * config.embed, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.classes),
        )
        self.auxiliary_a = nn.Linear(config.embed, config.classes)
        self.auxiliary_b = nn.Linear(config.embed, config.classes)

    def resnets(self) -> dict[str, ResNet]:
        """Return what torchvision files can be read into, one each, in this order (`models.pretrained`)."""
        return {"backbone_a": self.backbone_a, "backbone_b": self.backbone_b}

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised, to logits (n, classes) of the same type; both sides at least 32 px."""
        embedded_a, embedded_b = self._embed(image)
        logits: Tensor = self.head(torch.cat((*embedded_a, *embedded_b), dim=1))
        return logits.to(image.dtype)

    def all_heads(self, image: Tensor) -> HybridLogits:
        """Map (n, 3, y, x) to the logits of all three heads; training adds 0.3 of each auxiliary loss.

        The auxiliary heads read their own backbone's last stage alone, so that neither backbone rests on the other.
        """
        embedded_a, embedded_b = self._embed(image)
        joint = self.head(torch.cat((*embedded_a, *embedded_b), dim=1))
        logits = (joint, self.auxiliary_a(embedded_a[-1]), self.auxiliary_b(embedded_b[-1]))
        return HybridLogits(*(one.to(image.dtype) for one in logits))

    def _embed(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        embedded_a: list[Tensor] = self.project_a(self.backbone_a.stages(image)[1:])
        embedded_b: list[Tensor] = self.project_b(self.backbone_b.stages(image)[1:])
        return embedded_a, embedded_b
