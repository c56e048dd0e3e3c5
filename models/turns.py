"""Turns: who learns in a step of a training, one after the other, and down which loss.

Most trainings have one player, the network that ships, and one turn. An adversarial training has two: the critic
learns first, several times perhaps, then the network learns against it. The loop (`models.training`) knows no more of
either than this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from models.batches import Batch

NETWORK = "network"
"""The player that is validated and shipped."""

Players = Mapping[str, nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A network that learns beside the one that ships, and is not shipped."""

    network: nn.Module
    learning_rate: float
    """Highest learning rate; it follows the schedule's shape."""
    betas: tuple[float, float]
    """Of Adam."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One player's move. No weights but its own change; statistics of normalisation follow all that passes through."""

    player: str
    loss: Callable[[Players, Batch], Tensor]
    batch: int = 0
    """Which of the step's batches it learns from."""


def alone(loss: Callable[[nn.Module, Batch], Tensor]) -> Sequence[Turn]:
    """Return the turns of a training in which the network has no rival."""
    return (Turn(NETWORK, lambda players, batch: loss(players[NETWORK], batch)),)
