"""Engines: what computes a network. torch computes every one anywhere; OpenVINO classifiers, on CPUs, often faster.

An engine takes a network once and returns a function of (n, 3, y, x) float32 to what the network gives, in float32 or
bf16; several threads may call it at the same time. Which engine is the faster one on a machine is measured in
`flows/engine_choice.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from models.errors import DeviceError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from models.card import Card
    from models.device import Precision

EngineName = Literal["torch", "openvino"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class Engine(Protocol):
    """Makes networks ready to compute."""

    @property
    def name(self) -> EngineName:
        """As `--engine` has it."""
        ...

    def prepare(
        self, network: nn.Module, card: Card, device: torch.device, precision: Precision, at_once: int
    ) -> Callable[[Tensor], Tensor]:
        """Return what computes a network in inference mode, which stays as it is.

        Parameters
        ----------
        network
            The card's, with its weights.
        device
            Where images lie and results are wanted.
        precision
            What sums are made of; results are as near to those of fp32 as it allows.
        at_once
            How many images come at a time.

        Raises
        ------
        BundleError
            if the engine cannot compute this network.
        """
        ...


def is_installed(engine: EngineName) -> bool:
    """Whether an engine can be imported here."""
    return find_spec(engine) is not None


def require(engine: str, device: str, *, here: bool = True) -> EngineName:
    """Return the engine of that name; `here` tells whether this machine is the one that computes.

    Raises
    ------
    DeviceError
        if there is none, it is not installed, or it does not compute on that kind of device.
    """
    known = next((one for one in ENGINES if one == engine), None)
    if known is None:
        raise DeviceError.about(engine, "no such engine", f"Take --engine auto, {' or '.join(ENGINES)}.")
    if known == "openvino" and device.startswith("cuda"):
        raise DeviceError.about(engine, f"computes on CPUs, not on {device}", "Take --engine auto, or --device cpu.")
    if here and not is_installed(known):
        raise DeviceError.about(engine, "is not installed", "pip install 'histoloom[openvino]', or take --engine auto.")
    return known
