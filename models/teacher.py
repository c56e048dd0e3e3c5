"""A teacher: a bundle whose answers a smaller network learns from, beside the truth.

Hinton et al. 2015, "Distilling the knowledge in a neural network". The teacher stands still, and sees what the student
sees; what it has learned from counts as learned from by the student, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.batches import normalise
from models.bundle import load_network
from models.card import Card
from models.device import Precision
from models.errors import TrainingError
from models.fold import fold
from models.fuse import fuse
from models.shelf import read_card

DEFAULT_SHARE = 0.5


class Teacher:
    """A bundle's network with fixed weights."""

    def __init__(self, card: Card, device: torch.device, precision: Precision, name_or_path: str) -> None:
        self.card = card
        self._device = device
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        folded = fold(load_network(name_or_path)).to(device, self._dtype)
        folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's own types
        self._network = fuse(folded) if device.type == "cpu" else folded

    @torch.no_grad()
    def answer(self, image: Tensor) -> Tensor:
        """Map (n, 3, y, x) uint8 to what the network says of it, float32 and without a gradient."""
        seen = normalise(image, self.card.normalisation).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, enabled=False):  # the weights have their type already
            answer: Tensor = self._network(seen)
        return answer.float()


def load_teacher(
    name_or_path: str, wanted: Mapping[str, Any], device: torch.device, precision: Precision
) -> Teacher | None:
    """Return the teacher that a training file names, or None where it names none.

    `wanted` are the fields of its card that must be the student's: task, scale or classes.

    Raises
    ------
    TrainingError
        if the teacher does something else.
    BundleError
        if there is no such bundle, or it cannot be used.
    """
    if not name_or_path:
        return None
    card = read_card(name_or_path)
    for field, right in wanted.items():
        if (found := getattr(card, field)) != right:
            what = f"is no teacher here: its {field} is {found}, the student's {right}"
            raise TrainingError.about(name_or_path, what, "Name a bundle that does the same, or leave `teacher` out.")
    return Teacher(card, device, precision, name_or_path)


def refuse_no_share(share: float) -> None:
    """Raise a ValueError unless a teacher's share of the loss is one."""
    if not 0 < share <= 1:
        msg = f"teacher_share is {share:g}; what a teacher says can be more than 0 and at most 1 of the loss"
        raise ValueError(msg)
