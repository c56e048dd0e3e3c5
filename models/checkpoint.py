"""Checkpoint: all that a training needs to go on as if it had never stopped, in one safetensors file.

Tensors: `<player>.*` (weights in training; `network` is the player that ships),
`optimiser.<player>.<parameter>.<name>`, `mean.*` (the network's running mean) and `best.*` (the running mean that
validated best). The rest is JSON in the file's own header. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
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


def save(
    folder: Path, progress: Progress, optimisers: Mapping[str, torch.optim.Optimizer], states: Mapping[str, State]
) -> None:
    """Write the checkpoint under a temporary name, then rename it: a stop in between leaves the one before.

    Raises
    ------
    TrainingError
        if the disk refuses; the checkpoint before is still there.
    """
    tensors = {f"{part}.{name}": tensor for part, state in states.items() for name, tensor in state.items()}
    for player, optimiser in optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            moments = {f"optimiser.{player}.{index}.{name}": torch.as_tensor(one) for name, one in state.items()}
            tensors |= moments
    # Channels-last weights would be refused; a copy in plain order says the same.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    unfinished = folder / f"{FILE}.part"
    try:
        save_file(plain, unfinished, metadata={"progress": json.dumps(asdict(progress))})
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut leaves a name without the bytes
        unfinished.replace(folder / FILE)
    except (SafetensorError, OSError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        what = f"the checkpoint of iteration {progress.iteration} cannot be written ({error}); any before it is kept"
        raise TrainingError.about(folder / FILE, what, "Make room on the disk and call again: it goes on.") from error


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

    def restore(self, player: str, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Put a player's network and optimiser into the state that was saved."""
        network.load_state_dict(self.part(player))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self.part(f"optimiser.{player}").items():
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
