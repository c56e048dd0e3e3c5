from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.checkpoint import FILE, Progress, load, save
from models.errors import TrainingError


def stepped(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A network and an optimiser that took two steps."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 0.1)
    for _ in range(2):
        optimiser.zero_grad()
        network(torch.rand(2, 3, 8, 8)).square().sum().backward()
        optimiser.step()
    return network, optimiser


def test_network_optimiser_and_progress_come_back(tmp_path: Path) -> None:
    network, optimiser = stepped(1)
    progress = Progress(iteration=2, seconds=1.5, best=0.3, best_iteration=1, settings="{}")
    save(tmp_path, progress, {"network": optimiser}, {"network": network.state_dict(), "best": {}})
    other, fresh = stepped(2)
    found = load(tmp_path)
    assert found is not None
    assert found.progress == progress
    assert found.part("best") == {}
    found.restore("network", other, fresh)
    assert all(
        torch.equal(one, two)
        for one, two in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )
    for one, two in zip(optimiser.state_dict()["state"].values(), fresh.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_empty_folder_holds_no_checkpoint(tmp_path: Path) -> None:
    assert load(tmp_path) is None


def test_players_keep_their_own_moments_apart(tmp_path: Path) -> None:
    players = {name: stepped(seed) for name, seed in (("network", 1), ("critic", 2))}
    states = {name: network.state_dict() for name, (network, _) in players.items()}
    save(tmp_path, Progress(), {name: optimiser for name, (_, optimiser) in players.items()}, states)
    found = load(tmp_path)
    assert found is not None
    for name, (network, optimiser) in players.items():
        other, fresh = stepped(3)
        found.restore(name, other, fresh)
        assert torch.equal(next(other.parameters()), next(network.parameters()))
        one, two = (next(iter(each.state_dict()["state"].values()))["exp_avg"] for each in (optimiser, fresh))
        assert torch.equal(one, two)


def test_a_disk_that_refuses_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    network, optimiser = stepped(1)
    save(tmp_path, Progress(iteration=1), {"network": optimiser}, {"network": network.state_dict()})
    (tmp_path / f"{FILE}.part").mkdir()  # what no file can be written over, as on a full disk
    with pytest.raises(TrainingError, match=f"{FILE}: the checkpoint of iteration 2 cannot be written"):
        save(tmp_path, Progress(iteration=2), {"network": optimiser}, {"network": network.state_dict()})
    found = load(tmp_path)
    assert found is not None
    assert found.progress.iteration == 1


def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not safetensors at all")
    with pytest.raises(TrainingError, match=FILE):
        load(tmp_path)
