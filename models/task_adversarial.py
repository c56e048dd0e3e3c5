"""Super-resolution against an adversary: a critic learns to tell what is drawn from what was scanned.

Two players in the one loop: the critic takes its turns first, on images that the generator draws without learning, then
the generator takes one, down its losses of pixels and features and the critic's opinion. The means are those of
`models.adversarial`; SRGAN, WA-SRGAN and EDSR-ISE's second phase are tables of a training file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from models.adversarial import AdversarialKind, critic_loss, generator_loss, gradient_penalty
from models.batches import Batch
from models.discriminators import DISCRIMINATORS
from models.errors import TrainingError
from models.slide_reader import OpenSlide, open_tiff
from models.task_super_resolution import SuperResolutionTask
from models.train_config import TrainConfig, from_table
from models.turns import NETWORK, Players, Rival, Turn

CRITIC = "critic"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversaryOptions:
    """Table `options.adversary` of a training: the critic, and how it learns."""

    network: str = "unet_sn"
    """A key of `DISCRIMINATORS`."""
    width: int = 64
    """Channels of the critic's first convolution."""
    loss: AdversarialKind = "ragan"
    turns: int = 1
    """The critic's turns, each on a batch of its own, before each of the generator's."""
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    penalty: float = 10.0
    """Weight of the gradient penalty (`wgan_gp`)."""

    def __post_init__(self) -> None:
        ranges = {
            "network": self.network in DISCRIMINATORS,
            "width": 1 <= self.width <= 512,
            "loss": self.loss in get_args(AdversarialKind),
            "turns": 1 <= self.turns <= 100,
            "learning_rate": 0 < self.learning_rate < 1,
            "betas": len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "penalty": self.penalty > 0,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"an adversary cannot have {', '.join(wrong)} (networks: {', '.join(DISCRIMINATORS)})"
            raise ValueError(msg)
        if (self.network, self.loss) == ("srgan", "wgan_gp"):
            msg = "srgan's batch normalisation mixes images, and the penalty of wgan_gp is an image's; take wa_critic"
            raise ValueError(msg)


class AdversarialTask(SuperResolutionTask):
    """Learn to draw what a critic takes for scanned, and to keep to the truth while at it."""

    def __init__(self, config: TrainConfig, open_slide: OpenSlide = open_tiff) -> None:
        super().__init__(config, open_slide)
        self.adversary = from_table(AdversaryOptions, self.options.adversary, config.name)
        if not self.weights.adversarial:
            what = f"{config.name}: the adversary's opinion weighs nothing"
            raise TrainingError(what, "Give options.losses.adversarial a weight, or leave options.adversary out.")

    def rivals(self) -> dict[str, Rival]:
        """The critic."""
        critic = DISCRIMINATORS[self.adversary.network](self.adversary.width)
        return {CRITIC: Rival(network=critic, learning_rate=self.adversary.learning_rate, betas=self.adversary.betas)}

    def turns(self) -> Sequence[Turn]:
        """The critic's, then the generator's."""
        critics = (Turn(CRITIC, self.critic_loss, batch) for batch in range(self.adversary.turns))
        return (*critics, Turn(NETWORK, self.generator_loss))

    def critic_loss(self, players: Players, batch: Batch) -> Tensor:
        """Return what the critic makes small: how badly it tells scanned from drawn."""
        low, high = batch["low"].float() / 255, batch["high"].float() / 255
        with torch.no_grad():
            drawn = players[NETWORK](low)
        critic = players[CRITIC]
        loss = critic_loss(self.adversary.loss, critic(high), critic(drawn))
        if self.adversary.loss == "wgan_gp":
            # the loop seeds this generator anew at every step, so that a resumed training draws the same points
            points = torch.default_generator
            loss = loss + gradient_penalty(critic, high, drawn, points, weight=self.adversary.penalty)
        return loss

    def generator_loss(self, players: Players, batch: Batch) -> Tensor:
        """Return what the generator makes small: likeness to the truth, and being seen through."""
        low, high = batch["low"].float() / 255, batch["high"].float() / 255
        drawn = players[NETWORK](low)
        critic: nn.Module = players[CRITIC]
        real = critic(high) if self.adversary.loss == "ragan" else None
        opinion = generator_loss(self.adversary.loss, real, critic(drawn))
        return self.likeness(drawn, high) + self.weights.adversarial * opinion
