from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.backbone import backbone_of, hold_still, parameter_groups
from models.checkpoint import load
from models.errors import TrainingError
from models.hybrid_resnet import HybridResNet
from models.resnet import ResNet, ResNetConfig
from models.tasks import build_task
from models.train import train
from models.train_config import ScheduleConfig, TrainConfig
from models.train_settings import fingerprint, settings_of
from models.training import Training, draw_batches
from tests.models.examples import SMALL_HYBRID
from tests.models.test_train import config, data, one_thread  # noqa: F401 (fixtures)

APART = {"freeze_backbone_iterations": 2, "backbone_learning_rate_share": 0.1}
State = dict[str, torch.Tensor]


def schedule(**settings: Any) -> ScheduleConfig:
    return ScheduleConfig(iterations=6, batch=2, **settings)


def start(settings: TrainConfig, folder: Path) -> Training:
    folder.mkdir(exist_ok=True)
    return Training(settings, build_task(settings), folder)


def steps(training: Training, upto: int) -> State:
    """Take steps up to an iteration; return the network's state."""
    for iteration in range(training.progress.iteration, upto):
        training.step(draw_batches(training.task, training.config, iteration))
        training.progress = training.progress.after(0.1)
    return {name: tensor.clone() for name, tensor in training.network.state_dict().items()}


def changed(before: State, after: State) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def is_backbone(name: str) -> bool:
    return name.startswith("backbone_")


def test_the_backbone_is_all_of_a_networks_resnets_but_their_heads() -> None:
    resnet = ResNet(ResNetConfig(depths=(1, 1, 1, 1), block="basic", width=4, stem="small", classes=2))
    parts = backbone_of(resnet, schedule(**APART), "a")
    heads = set(resnet.parameters()) - {parameter for part in parts for parameter in part.parameters()}
    assert heads == {resnet.head.weight, resnet.head.bias}
    hybrid = HybridResNet(SMALL_HYBRID)
    parts = backbone_of(hybrid, schedule(**APART), "a")
    owned = {parameter for part in parts for parameter in part.parameters()}
    assert owned == {parameter for name, parameter in hybrid.named_parameters() if is_backbone(name)}


def test_groups_hold_every_parameter_once_heads_first() -> None:
    network = HybridResNet(SMALL_HYBRID)
    heads, slow = parameter_groups(network, backbone_of(network, schedule(**APART), "a"), 0.1)
    assert (heads["share"], slow["share"]) == (1.0, 0.1)
    assert {*heads["params"], *slow["params"]} == set(network.parameters())
    assert len(heads["params"]) + len(slow["params"]) == len(list(network.parameters()))
    (alone,) = parameter_groups(network)
    assert all(one is other for one, other in zip(alone["params"], network.parameters(), strict=True))


def test_what_is_held_still_moves_neither_weights_nor_statistics() -> None:
    network = HybridResNet(SMALL_HYBRID).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    hold_still(backbone_of(network, schedule(**APART), "a"))
    network(torch.rand(4, 3, 32, 32)).sum().backward()
    assert not changed(before, network.state_dict())
    learns = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert learns
    assert not any(map(is_backbone, learns))


def test_the_backbone_stays_as_it_began_and_then_learns_more_slowly(data: Path, tmp_path: Path) -> None:  # noqa: F811
    training = start(config("classification", data, **APART), tmp_path / "t")
    began = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    early = steps(training, 2)
    assert {name for name in changed(began, early) if is_backbone(name)} == set()
    assert any(name.startswith("head.") for name in changed(began, early))
    assert not {name for name in changed(began, training.mean.state_dict()) if is_backbone(name)}
    later = steps(training, 3)
    assert any(is_backbone(name) for name in changed(early, later))
    heads, slow = training.players["network"].optimiser.param_groups
    assert slow["lr"] == pytest.approx(0.1 * heads["lr"])


@pytest.mark.parametrize("stop", [1, 3])
def test_a_training_resumed_while_held_still_or_after_ends_the_same(stop: int, data: Path, tmp_path: Path) -> None:  # noqa: F811
    settings = config("classification", data, **APART)
    start(settings, tmp_path / "straight").run()
    stopped = start(settings, tmp_path / "stopped")
    steps(stopped, stop)
    stopped.save()
    start(settings, tmp_path / "stopped").run()
    one, other = (load(tmp_path / name) for name in ("straight", "stopped"))
    assert one is not None
    assert other is not None
    parts = ("network.", "mean.", "optimiser.")
    names = {name for name in one.tensors if name.startswith(parts)}
    assert names == {name for name in other.tensors if name.startswith(parts)}
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in names)


def test_settings_and_card_say_so_and_older_trainings_stay_what_they_were(data: Path, tmp_path: Path) -> None:  # noqa: F811
    plain, apart = config("classification", data), config("classification", data, **APART)
    assert not set(APART) & set(settings_of(plain)["schedule"])
    assert settings_of(apart)["schedule"].items() >= APART.items()
    assert fingerprint(plain) != fingerprint(apart)
    card = train(replace(apart, schedule=replace(apart.schedule, iterations=1)), tmp_path / "bundle")
    assert card.training["optimiser"].endswith(
        "; backbone at 0.1 of the learning rate; backbone still for 2 iterations"
    )


@pytest.mark.parametrize("task", ["superresolution", "nuclei"])
@pytest.mark.parametrize("setting", [{"freeze_backbone_iterations": 2}, {"backbone_learning_rate_share": 0.1}])
def test_networks_without_a_resnet_are_refused_by_name(
    task: str,
    setting: dict[str, Any],
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError, match=f"small-{task}: a .* has no ResNet") as error:
        train(config(task, data, **setting), tmp_path / "bundle")
    assert len(str(error.value).splitlines()) == 2
    assert load(tmp_path / "bundle.training") is None


@pytest.mark.parametrize("wrong", [{"freeze_backbone_iterations": -1}, {"backbone_learning_rate_share": 0.0}])
def test_shares_and_iterations_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a schedule cannot have"):
        schedule(**wrong)
