"""Bundles: a folder with a card (`card.json`) and weights (`model.safetensors`), read, checked and written.

Weights are read as safetensors and nothing else: no pickle is ever opened. A bundle may come from anyone, so the card
is checked field by field, the weights against the card's hash, and every tensor's name, shape and type against the
network that the card describes, which is built without memory first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.card import CURE, Card
from models.errors import BundleError
from models.hybrid_resnet import HybridResNet, HybridResNetConfig
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.resnet import ResNet, ResNetConfig
from models.shelf import CARD_FILE, WEIGHTS_FILE, find_bundle, list_bundles, read_card
from models.super_resolution import SuperResolver, SuperResolverConfig

__all__ = [
    "ARCHITECTURES",
    "build_network",
    "find_bundle",
    "list_bundles",
    "load_network",
    "read_card",
    "write_bundle",
]

LONGEST_HEADER_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network class with its config class, and the tasks that it serves."""

    config: Callable[..., Any]
    network: Callable[[Any], nn.Module]
    tasks: tuple[str, ...]


ARCHITECTURES: Mapping[str, Architecture] = {
    "srresnet": Architecture(SuperResolverConfig, SuperResolver, ("superresolution",)),
    "unet": Architecture(NucleiUNetConfig, NucleiUNet, ("nuclei",)),
    "resnet": Architecture(ResNetConfig, ResNet, ("classification",)),
    "hybrid_resnet": Architecture(HybridResNetConfig, HybridResNet, ("classification",)),
}


def build_network(card: Card) -> nn.Module:
    """Return the network that a card describes, with fresh weights."""
    _build_without_memory(card, card.name)
    return ARCHITECTURES[card.architecture].network(_config(card))


def load_network(name_or_path: str | Path) -> nn.Module:
    """Return a bundle's network with its weights, in fp32 and in eval mode.

    Raises
    ------
    BundleError
        if the card is wrong, the weights do not have the card's hash, or a tensor is missing, unknown, of another shape
        than the network's, or not finite.
    """
    folder = find_bundle(name_or_path)
    card, path = read_card(folder), folder / WEIGHTS_FILE
    network = _build_without_memory(card, folder / CARD_FILE)
    wanted = network.state_dict()
    tensors = _read_weights(path, card.sha256, longest=LONGEST_HEADER_BYTES + _bytes(wanted))
    _check_tensors(path, tensors, wanted)
    cast = {name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items()}
    network.load_state_dict(cast, assign=True)
    return network.eval()


def write_bundle(folder: str | Path, network: nn.Module, card: Card) -> Card:
    """Write weights (fp16) and card as a bundle, and return the card with its hash.

    The card comes last, and a folder without a card is no bundle: it appears complete or not at all. Where a bundle is
    replaced and the card is lost half-way, the old card's hash refuses the new weights. Other files are left alone.

    Raises
    ------
    BundleError
        if the card is wrong or does not describe this network, a weight does not fit fp16, or the disk refuses.
    """
    folder = Path(folder)
    card.check(folder / CARD_FILE)
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    tensors = {name: _halve(tensor).contiguous() for name, tensor in state.items()}
    _check_tensors(folder / WEIGHTS_FILE, tensors, _build_without_memory(card, folder / CARD_FILE).state_dict())
    content = safetensors.torch.save(tensors)
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS_FILE, content)
        _replace(folder / CARD_FILE, card.to_json().encode())
    except OSError as error:
        raise BundleError.about(
            folder, f"cannot be written ({error})", "Name another folder for the bundle."
        ) from error
    return card


def _replace(path: Path, content: bytes) -> None:
    """Write a file under another name first, so that under its own there is never a part of it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _config(card: Card) -> Any:
    """Return the config that a card's parameters make; JSON's lists are the configs' tuples."""
    parameters = {key: tuple(value) if isinstance(value, list) else value for key, value in card.parameters.items()}
    return ARCHITECTURES[card.architecture].config(**parameters)


def _build_without_memory(card: Card, where: str | Path) -> nn.Module:
    """Return the card's network on the meta device, so that a card alone can ask for any size at no cost."""
    architecture = ARCHITECTURES.get(card.architecture)
    if architecture is None or card.task not in architecture.tasks:
        known = ", ".join(name for name, one in ARCHITECTURES.items() if card.task in one.tasks)
        raise BundleError.about(
            where, f"architecture {card.architecture!r} does not do {card.task} ({known} would)", CURE
        )
    try:
        config = _config(card)
        with torch.device("meta"):
            network = architecture.network(config)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BundleError.about(where, f"parameters do not make a {card.architecture} ({error})", CURE) from error
    scale, classes = getattr(config, "scale", None), getattr(config, "classes", None)
    if scale != card.scale:
        raise BundleError.about(
            where, f"scale is {card.scale}, but the parameters make a network of scale {scale}", CURE
        )
    if classes != (None if card.classes is None else len(card.classes)):
        raise BundleError.about(where, f"{card.classes} does not name the {classes} classes of the parameters", CURE)
    if card.stride_px % getattr(network, "stride_px", 1):
        raise BundleError.about(where, f"stride_px is {card.stride_px}, no multiple of the network's own", CURE)
    return network


def _bytes(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def _read_weights(path: Path, sha256: str, longest: int) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file whose bytes have the hash that the card names."""
    cure = "Copy the bundle again from where it came; card and weights belong together."
    try:
        if path.stat().st_size > longest:
            raise BundleError.about(path, f"longer than the {longest} bytes that the card's network can need", cure)
        content = path.read_bytes()
    except OSError as error:
        raise BundleError.about(path, f"cannot be read ({error})", cure) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError.about(path, f"sha256 {found[:16]}... where the card says {sha256[:16]}...", cure)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError.about(path, f"not a safetensors file ({error})", cure) from error
    return tensors


def _check_tensors(path: Path, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise unless names, shapes and kinds are the network's and every number is finite."""
    cure = "The weights belong to another card; take the bundle's own pair of files."
    for names, what in ((wanted.keys() - tensors.keys(), "lacks"), (tensors.keys() - wanted.keys(), "has unknown")):
        if names:
            raise BundleError.about(path, f"{what} {len(names)} tensors, {min(names)!r} among them", cure)
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or tensor.is_floating_point() != wanted[name].is_floating_point():
            found, right = (f"{one.dtype} {tuple(one.shape)}" for one in (tensor, wanted[name]))
            raise BundleError.about(path, f"{name!r} is {found} where the card's network has {right}", cure)
        if not torch.isfinite(tensor.float()).all():
            raise BundleError.about(path, f"{name!r} holds a number that is not finite (or too large for fp16)", cure)


def _halve(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor
