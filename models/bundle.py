"""Bundles: a folder with a card (`card.json`) and weights (`model.safetensors`), read, checked and written.

Weights are read as safetensors and nothing else: no pickle is ever opened. A bundle may come from anyone, so the card
is checked field by field, the weights against the card's hash, and every tensor's name, shape and type against the
network that the card describes, which is built without memory first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.architectures import ARCHITECTURES
from models.card import CURE, Card
from models.errors import BundleError
from models.shelf import CARD_FILE, GAN_FILE, WEIGHTS_FILE, find_bundle, list_bundles, read_card

__all__ = [
    "ARCHITECTURES",
    "add_gan",
    "build_network",
    "find_bundle",
    "list_bundles",
    "load_network",
    "read_card",
    "refuse_other_network",
    "write_bundle",
]

LONGEST_HEADER_BYTES = 2**20


def build_network(card: Card) -> nn.Module:
    """Return the network that a card describes, with fresh weights."""
    build_without_memory(card, card.name)
    return ARCHITECTURES[card.architecture].network(_config(card))


def load_network(name_or_path: str | Path, blend: float = 0.0) -> nn.Module:
    """Return a bundle's network with its weights, in fp32 and in eval mode.

    Parameters
    ----------
    blend
        0 gives the bundle's own weights, 1 its second ones (`gan.safetensors`), anything between a mixture: (1 - blend)
        own + blend second. Wang et al. 2018 (ESRGAN), "network interpolation".

    Raises
    ------
    BundleError
        if the card is wrong, the weights do not have the card's hash, a tensor is missing, unknown, of another shape
        than the network's, or not finite, or a mixture is asked for where there are no second weights.
    """
    folder = find_bundle(name_or_path)
    card = read_card(folder)
    network = build_without_memory(card, folder / CARD_FILE)
    wanted = network.state_dict()
    tensors = _checked_weights(folder / WEIGHTS_FILE, card.sha256, wanted)
    if blend:
        if card.gan is None or not 0 <= blend <= 1:
            what = f"cannot mix in {blend:g} of weights trained against an adversary"
            raise BundleError.about(folder, what, "Take --sr-blend 0, or up to 1 with a bundle that has such weights.")
        second = _checked_weights(folder / GAN_FILE, card.gan["sha256"], wanted)
        tensors = {name: _between(tensor, second[name], blend) for name, tensor in tensors.items()}
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def _checked_weights(path: Path, sha256: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors in the types of the network."""
    tensors = _read_weights(path, sha256, longest=LONGEST_HEADER_BYTES + _bytes(wanted))
    _check_tensors(path, tensors, wanted)
    return {name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items()}


def _between(one: Tensor, other: Tensor, blend: float) -> Tensor:
    return one.lerp(other, blend) if one.is_floating_point() else other


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
    content = _halved_weights(folder / WEIGHTS_FILE, network, card)
    card = replace(card, gan=_second_weights_of(folder, content))
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    _write(folder, WEIGHTS_FILE, content, card)
    return card


def _second_weights_of(folder: Path, content: bytes) -> Mapping[str, Any] | None:
    """Return what the card there says of second weights, if they were begun with these very weights."""
    if not (folder / CARD_FILE).is_file():
        return None
    before = read_card(folder)
    return before.gan if before.sha256 == hashlib.sha256(content).hexdigest() else None


def add_gan(folder: str | Path, network: nn.Module, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Card:
    """Write a network's weights as the second ones of a bundle, and return the bundle's card with their hash.

    Raises
    ------
    BundleError
        if there is no bundle, its card describes another network, or the disk refuses.
    """
    folder = Path(folder)
    card = read_card(folder)
    content = _halved_weights(folder / GAN_FILE, network, card)
    gan = {"sha256": hashlib.sha256(content).hexdigest(), "training": dict(training), "metrics": dict(metrics)}
    card = replace(card, gan=gan)
    card.check(folder / CARD_FILE)
    _write(folder, GAN_FILE, content, card)
    return card


def refuse_other_network(folder: str | Path, network: nn.Module) -> None:
    """Raise unless a bundle is there whose card describes this network, so that its weights can be the second ones.

    Raises
    ------
    BundleError
        if there is none, or it is another network's.
    """
    wanted = build_without_memory(read_card(folder), Path(folder) / CARD_FILE).state_dict()
    _check_tensors(Path(folder) / CARD_FILE, network.state_dict(), wanted)


def _halved_weights(path: Path, network: nn.Module, card: Card) -> bytes:
    """Return a network's weights as a safetensors file in fp16, once they are seen to be what the card describes."""
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    tensors = {name: _halve(tensor).contiguous() for name, tensor in state.items()}
    _check_tensors(path, tensors, build_without_memory(card, path.with_name(CARD_FILE)).state_dict())
    content: bytes = safetensors.torch.save(tensors)
    return content


def _write(folder: Path, file: str, weights: bytes, card: Card) -> None:
    """Write weights, then the card: a bundle without a card is none, and a card's hash refuses other weights."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / file, weights)
        _replace(folder / CARD_FILE, card.to_json().encode())
    except OSError as error:
        raise BundleError.about(
            folder, f"cannot be written ({error})", "Name another folder for the bundle."
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file under another name first, so that under its own there is never a part of it."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _config(card: Card) -> Any:
    """Return the config that a card's parameters make; JSON's lists are the configs' tuples."""
    parameters = {key: tuple(value) if isinstance(value, list) else value for key, value in card.parameters.items()}
    return ARCHITECTURES[card.architecture].config(**parameters)


def build_without_memory(card: Card, where: str | Path) -> nn.Module:
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
