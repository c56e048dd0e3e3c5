"""What can compute a network, as the bench sees it. An engine more is a class more in `ENGINES`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from models.predict import Precision
    from pipeline.workspace import Predictor


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


class Engine(Protocol):
    """Loads bundles."""

    name: str

    def places(self) -> list[Place]:
        """Every device here with every precision that it computes natively; none where the engine is not installed."""
        ...

    def load(self, bundle: str, place: Place) -> Predictor:
        """A bundle's network, ready there: numpy in, numpy out, returning when it is through."""
        ...


class TorchEngine:
    """What computes everything today."""

    name = "torch"

    def places(self) -> list[Place]:
        """The CPU and every GPU."""
        from models.device import count_cuda_devices
        from models.predict import resolve_device

        found = []
        for device in ("cpu", *(f"cuda:{number}" for number in range(count_cuda_devices()))):
            found.append(Place(device, "fp32"))
            if resolve_device(device)[1] == "bf16":
                found.append(Place(device, "bf16"))
        return found

    def load(self, bundle: str, place: Place) -> Predictor:
        """See `models.predict.load_predictor`."""
        from models.predict import load_predictor

        return load_predictor(bundle, place.device, place.precision)


ENGINES: tuple[Engine, ...] = (TorchEngine(),)
