"""The backbone of a network that began with published weights: how long it stays as it is, and how fast it learns then.

Fresh heads send large gradients at first, which would spoil what the backbone was begun with: let them learn alone for
some iterations, then the backbone more slowly than they do (Howard and Ruder 2018, "Universal language model
fine-tuning", gradual unfreezing and discriminative learning rates, here in two parts).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from models.errors import TrainingError
from models.pretrained import HoldsResNets
from models.train_config import ScheduleConfig

Parts = tuple[nn.Module, ...]
_HEAD = "fc"


def backbone_of(network: nn.Module, schedule: ScheduleConfig, name: str) -> Parts:
    """Return what of a network the schedule treats apart: its ResNets without their heads; nothing by default.

    Raises
    ------
    TrainingError
        if the training `name` is of a network without such a backbone.
    """
    if not schedule.freeze_backbone_iterations and schedule.backbone_learning_rate_share == 1:
        return ()
    if not isinstance(network, HoldsResNets):
        what = f"{name}: a {type(network).__name__} has no ResNet that could learn apart from its head"
        cure = "Leave freeze_backbone_iterations and backbone_learning_rate_share out, or take a classifier."
        raise TrainingError(what, cure)
    resnets = network.resnets().values()
    return tuple(part for resnet in resnets for name, part in resnet.named_children() if name != _HEAD)


def parameter_groups(network: nn.Module, backbone: Parts = (), share: float = 1.0) -> list[dict[str, Any]]:
    """Return an optimiser's groups, each with its `share` of the learning rate: all parameters, or heads, backbone."""
    if share == 1:
        return [{"params": list(network.parameters()), "share": 1.0}]
    slow = {id(parameter) for part in backbone for parameter in part.parameters()}
    parts: dict[float, list[nn.Parameter]] = {1.0: [], share: []}
    for parameter in network.parameters():
        parts[share if id(parameter) in slow else 1.0].append(parameter)
    return [{"params": parameters, "share": factor} for factor, parameters in parts.items()]


def hold_still(parts: Iterable[nn.Module]) -> None:
    """Keep parts from learning, and the running statistics of their normalisation from moving."""
    for part in parts:
        part.eval().requires_grad_(requires_grad=False)


def describe(schedule: ScheduleConfig) -> str:
    """Return what a card says of a backbone that learned apart; nothing where it did not."""
    share, held = schedule.backbone_learning_rate_share, schedule.freeze_backbone_iterations
    slower = f"; backbone at {share:g} of the learning rate" if share != 1 else ""
    return slower + (f"; backbone still for {held} iterations" if held else "")
