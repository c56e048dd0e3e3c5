"""Where each engine computes, as the bench asks them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.card import Card
    from models.engine import EngineName
    from models.predict import Precision


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network computes, and how exactly."""

    device: str
    precision: Precision

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU, which wants larger tiles and more of them."""
        return self.device.startswith("cuda")

    def __str__(self) -> str:
        """As in a row's name."""
        return f"{self.device} {self.precision}"


def places_of(engine: EngineName) -> list[Place]:
    """Every device here with every precision that it computes natively; none where the engine is not installed."""
    from models.device import count_cuda_devices
    from models.engine import is_installed
    from models.predict import resolve_device

    if not is_installed(engine):
        return []
    gpus = [f"cuda:{number}" for number in range(count_cuda_devices())] if engine == "torch" else []
    found = []
    for device in ("cpu", *gpus):
        found.append(Place(device, "fp32"))
        if resolve_device(device)[1] == "bf16":
            found.append(Place(device, "bf16"))
    return found


def computes(engine: EngineName, card: Card) -> bool:
    """Whether an engine takes on such a network."""
    return engine == "torch" or card.field_px is not None
