"""From a training file to its network: the architecture with its parameters, and the weights that it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from models.architectures import ARCHITECTURES, Architecture, resolve
from models.bundle import load_network
from models.errors import TrainingError
from models.pretrained import begin_pretrained
from models.train_config import TrainConfig, from_table


def build(config: TrainConfig) -> nn.Module:
    """Return the network that a config describes, with fresh weights.

    Raises
    ------
    TrainingError
        if there is no such architecture or named option, it does not do the task, or its parameters are wrong.
    """
    architecture, parameters = _described(config)
    return architecture.network(parameters)


def _described(config: TrainConfig) -> tuple[Architecture, Any]:
    """Return the architecture that a config names, and the architecture's own config."""
    name, parameters = resolve(config.architecture, config.network)
    architecture = ARCHITECTURES.get(name)
    if architecture is None or config.task not in architecture.tasks:
        known = ", ".join(name for name, one in ARCHITECTURES.items() if config.task in one.tasks)
        what = f"{config.name}: architecture {config.architecture!r} does not do {config.task}"
        raise TrainingError(what, f"Take one of {known}, or one of their named options.")
    return architecture, from_table(architecture.config, parameters, config.name)  # type: ignore[arg-type]


def begin(config: TrainConfig) -> nn.Module:
    """Return the network that a config describes, with the weights that it is to begin with.

    Those of `config.begin` go in wherever name and shape agree, so that a network for x8 can begin with the body of one
    for x4.

    Raises
    ------
    TrainingError
        if none agrees, or under half of the weights do.
    """
    network = build(config)
    if config.pretrained:
        begin_pretrained(network, config.pretrained)
    if config.begin:
        given, wanted = load_network(config.begin).state_dict(), network.state_dict()
        shapes = {name: tensor.shape for name, tensor in wanted.items()}
        fitting = {name: tensor for name, tensor in given.items() if shapes.get(name) == tensor.shape}
        if sum(map(torch.numel, fitting.values())) < 0.5 * sum(map(torch.numel, wanted.values())):
            what = f"begins with {config.begin}, which has another network's weights"
            raise TrainingError.about(config.name, what, "Begin with a bundle of the same architecture and width.")
        network.load_state_dict(wanted | fitting)
    return network


def refuse_other_classes(config: TrainConfig, classes: Sequence[str]) -> None:
    """Raise unless a classifier has as many outputs as the data have classes.

    Raises
    ------
    TrainingError
        that names both.
    """
    _, network = _described(config)
    named = ", ".join(classes)
    if network.classes != len(classes):
        what = f"the network has classes = {network.classes}, and the data have {len(classes)} classes ({named})"
        cure = f"Set classes = {len(classes)} under [network], or name other classes under [options]."
        raise TrainingError.about(config.name, what, cure)
