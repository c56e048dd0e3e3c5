"""Checkpoint: all that a training needs to go on as if it had never stopped, in one safetensors file.

Tensors: `network.*` (weights in training), `mean.*` (their running mean), `best.*` (the running mean that validated
best) and `optimiser.<parameter>.<name>`. The rest is JSON in the file's own header. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.errors import TrainingError

FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come."""

    iteration: int = 0
    seconds: float = 0.0
    """Wall clock spent training, over all starts."""
    best: float | None = None
    """The validation figure that chose `best.*`."""
    best_iteration: int = 0
    settings: str = ""
    """The settings of the training, as JSON; another training cannot go on from this checkpoint."""

    def after(self, seconds: float) -> Progress:
        """Return the progress after one more iteration."""
        return replace(self, iteration=self.iteration + 1, seconds=self.seconds + seconds)


State = Mapping[str, Tensor]


def save(folder: Path, progress: Progress, optimiser: torch.optim.Optimizer, **states: State) -> None:
    """Write the checkpoint under a temporary name, then rename it: a stop in between leaves the one before."""
    tensors = {f"{part}.{name}": tensor for part, state in states.items() for name, tensor in state.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    # Channels-last weights would be refused; a copy in plain order says the same.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    unfinished = folder / f"{FILE}.part"
    save_file(plain, unfinished, metadata={"progress": json.dumps(asdict(progress))})
    unfinished.replace(folder / FILE)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read."""

    progress: Progress
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one part, without its prefix; empty where the checkpoint has none."""
        return {
            key.removeprefix(f"{name}."): value for key, value in self.tensors.items() if key.startswith(f"{name}.")
        }

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Put network and optimiser into the state that was saved."""
        network.load_state_dict(self.part("network"))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self.part("optimiser").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def load(folder: Path) -> Checkpoint | None:
    """Return the folder's checkpoint, or None where there is none.

    Raises
    ------
    TrainingError
        if the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            return Checkpoint(progress, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise TrainingError.about(path, f"no checkpoint ({error})", f"Remove {folder} and train anew.") from error
