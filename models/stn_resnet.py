"""StnResNet: a spatial transformer before a ResNet with a head of three layers, after SRGAN-STN-ResNet50 (2026).

As published: ResNet-50 with ImageNet weights, of which the last two stages learn, and a head 2048-256-128-classes. Its
learning rates (0.3 and 0.4) diverge, and its tables do not follow from its confusion matrices; neither is built on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor, nn

from models.resnet import ResNet, ResNetConfig
from models.spatial_transformer import SpatialTransformer, Warp


@dataclass(frozen=True, slots=True)
class StnResNetConfig:
    """The shape of an `StnResNet`; the defaults are the published one."""

    classes: int = 2
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    block: Literal["basic", "bottleneck"] = "bottleneck"
    width: int = 64
    stem: Literal["imagenet", "small"] = "imagenet"
    warp: Warp = "constrained"
    """`constrained`: turns, scales and shifts a little; `affine`: any matrix."""
    hidden: tuple[int, int] = (256, 128)
    """Lengths of the head's inner layers."""
    freeze: bool = True
    """Stem and first two stages keep what they begin with: ImageNet's weights. Without such weights, let all learn."""

    def __post_init__(self) -> None:
        ranges = {
            "classes": 2 <= self.classes <= 1000,
            "warp": self.warp in ("constrained", "affine"),
            "hidden": len(self.hidden) == 2 and all(1 <= length <= 4096 for length in self.hidden),
            "freeze": isinstance(self.freeze, bool),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a ResNet behind a spatial transformer cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class StnResNet(nn.Module):
    """A spatial transformer, a ResNet, a head: (n, 3, y, x), normalised, to logits (n, classes).

    Whatever the loop that trains it asks for, frozen stages neither learn nor move their running statistics.
    """

    def __init__(self, config: StnResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = SpatialTransformer(config.warp)
        self.backbone = ResNet(ResNetConfig(config.depths, config.block, config.width, config.stem))
        first, second = config.hidden
        self.head = nn.Sequential(
            nn.Linear(self.backbone.channels[-1], first),
            nn.ReLU(inplace=True),
            nn.Linear(first, second),
            nn.ReLU(inplace=True),
            nn.Linear(second, config.classes),
        )
        self.train().requires_grad_()

    def resnets(self) -> dict[str, ResNet]:
        """Return what a torchvision file can be read into (`models.pretrained`)."""
        return {"backbone": self.backbone}

    def _frozen(self) -> tuple[nn.Module, ...]:
        backbone = self.backbone
        return (backbone.conv1, backbone.bn1, backbone.layer1, backbone.layer2) if self.config.freeze else ()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let parameters learn, or none; frozen ones never do."""
        super().requires_grad_(requires_grad)
        for part in self._frozen():
            part.requires_grad_(requires_grad=False)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch between training and eval mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x), normalised, to logits (n, classes) of the same type; both sides at least 32 px."""
        logits: Tensor = self.head(self.backbone.stages(self.transformer(image))[-1].mean((2, 3)))
        return logits.to(image.dtype)
