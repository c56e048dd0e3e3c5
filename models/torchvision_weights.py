"""Weights in torchvision's layout, such as those it trained on ImageNet: read from the user's file, fitted to a ResNet.

A `.pth` file is a pickle: torch is told to read nothing but tensors from it. Any other file is read as safetensors. The
last layer, `fc`, is left out where it tells other classes apart; everything else must fit, or the file is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from models.errors import TrainingError
from models.resnet import ResNet

PICKLES = (".pth", ".pt")
NAMED_IN_ERRORS = 3
_HEAD = "fc."
_COUNTER = ".num_batches_tracked"
"""Of batch normalisation: torchvision's first files lack it, and nothing here reads it."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.pth`, `.pt` or safetensors file, by their names there, on the CPU.

    Raises
    ------
    TrainingError
        if the file cannot be read, or holds anything but named tensors.
    """
    held = _read_pickle(path) if path.suffix in PICKLES else _read_safetensors(path)
    if not isinstance(held, Mapping) or not all(isinstance(one, Tensor) for one in held.values()):
        inside = f"a table of {_some(map(str, held))}" if isinstance(held, Mapping) else f"a {type(held).__name__}"
        cure = "Save the network's state dict alone: torch.save(network.state_dict(), path)."
        raise TrainingError.about(path, f"no readable weights ({inside}, not tensors by name)", cure)
    return dict(held)


def begin_resnet(network: ResNet, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put the weights of torchvision's ResNet into one of ours, in place; `where` says in errors whose they are.

    Raises
    ------
    TrainingError
        that names weights which are missing, unknown or of another shape; the network is then as it was.
    """
    own = network.state_dict()
    given = {name: tensor for name, tensor in tensors.items() if not _is_another_head(name, tensor, own)}
    missing = [name for name in own.keys() - given.keys() if not name.startswith(_HEAD) and not name.endswith(_COUNTER)]
    unknown = [name for name in given.keys() - own.keys() if not name.endswith(_COUNTER)]
    shapes = {name: (tuple(given[name].shape), tuple(own[name].shape)) for name in own.keys() & given.keys()}
    reshaped = [f"{name} {found} for {wanted}" for name, (found, wanted) in shapes.items() if found != wanted]
    misfits = {"lacks": missing, "has unknown": unknown, "has other shapes": reshaped}
    wrong = [f"{what} {_some(names)}" for what, names in misfits.items() if names]
    if wrong:
        cure = "Give a file of the same depths, width, groups and stem, or set those of the network to the file's."
        raise TrainingError.about(where, f"not this ResNet's weights: {'; '.join(wrong)}", cure)
    network.load_state_dict(own | {name: given[name] for name in shapes})


def _is_another_head(name: str, tensor: Tensor, own: Mapping[str, Tensor]) -> bool:
    return name.startswith(_HEAD) and (name not in own or len(own[name]) != len(tensor))


def _read_pickle(path: Path) -> Any:
    cure = "Give a state dict's file, as torchvision publishes it and torch.save(network.state_dict(), path) writes it."
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError.about(path, f"no readable weights ({error})", cure) from error
    # a damaged pickle raises anything; what torch says of a foreign one is how to run what it hides
    except Exception as error:
        raise TrainingError.about(path, "no readable weights (damaged, or more in it than tensors)", cure) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        cure = f"Give a safetensors file; a pickle of tensors is known by its end ({', '.join(PICKLES)})."
        raise TrainingError.about(path, f"no readable weights ({error})", cure) from error
    return tensors


def _some(names: Iterable[str]) -> str:
    """Return how many names there are, and the first of them."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:NAMED_IN_ERRORS])
    return f"{len(ordered)} ({shown}{', ...' if len(ordered) > NAMED_IN_ERRORS else ''})"
