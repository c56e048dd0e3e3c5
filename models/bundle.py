"""Bundles: a folder with a card (`card.json`) and weights (`model.safetensors`), shipped or a user's own.

Weights are read as safetensors and nothing else: no pickle is ever opened. A bundle may come from anyone, so the card
is checked field by field, the weights against the card's hash, and every tensor's name, shape and type against the
network that the card describes, which is built without memory first.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.card import CURE, LONGEST_CARD_BYTES, Card
from models.errors import BundleError, UnknownBundle
from models.hybrid_resnet import HybridResNet, HybridResNetConfig
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.resnet import ResNet, ResNetConfig
from models.super_resolution import SuperResolver, SuperResolverConfig

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
LONGEST_HEADER_BYTES = 2**20
SHIPPED = Path(__file__).parent / "bundles"


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


def find_bundle(name_or_path: str | Path) -> Path:
    """Return the folder of a shipped bundle, by name, or of the user's own, by path.

    Raises
    ------
    UnknownBundle
        if there is neither.
    """
    shipped = SHIPPED / name_or_path
    if Path(name_or_path).name == str(name_or_path) and (shipped / CARD_FILE).is_file():
        return shipped
    folder = Path(name_or_path).expanduser()
    if (folder / CARD_FILE).is_file():
        return folder
    names = ", ".join(path.name for path in _shipped_folders()) or "none"
    what = f"{name_or_path}: neither a shipped bundle ({names}) nor a folder with a {CARD_FILE}"
    raise UnknownBundle(what, "Take a name that `histoloom models` lists, or the path of a bundle's folder.")


def list_bundles() -> list[Card]:
    """Return the cards of all shipped bundles, by name."""
    return [read_card(folder) for folder in _shipped_folders()]


def read_card(name_or_path: str | Path) -> Card:
    """Return the checked card of a bundle; the weights are not opened.

    Raises
    ------
    BundleError
        if the card cannot be read or claims something impossible.
    """
    path = find_bundle(name_or_path) / CARD_FILE
    try:
        if path.stat().st_size > LONGEST_CARD_BYTES:
            raise BundleError.about(path, f"longer than {LONGEST_CARD_BYTES} bytes", CURE)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError.about(path, f"cannot be read ({error})", CURE) from error
    card = Card.from_json(text, path)
    _build_without_memory(card, path)
    return card


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

    The folder appears complete or not at all; a bundle that was there is replaced, any other folder is not touched.

    Raises
    ------
    BundleError
        if the card is wrong or does not describe this network, a weight does not fit fp16, or the folder is taken.
    """
    folder = Path(folder)
    card.check(folder / CARD_FILE)
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    tensors = {name: _halve(tensor).contiguous() for name, tensor in state.items()}
    _check_tensors(folder / WEIGHTS_FILE, tensors, _build_without_memory(card, folder / CARD_FILE).state_dict())
    if folder.exists() and not (folder / CARD_FILE).is_file():
        raise BundleError.about(folder, "is there and is no bundle", "Name another folder for the bundle.")
    content = safetensors.torch.save(tensors)
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        unfinished = Path(scratch) / "new"
        unfinished.mkdir()
        (unfinished / WEIGHTS_FILE).write_bytes(content)
        (unfinished / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        unfinished.rename(folder)
    return card


def _shipped_folders() -> list[Path]:
    return sorted(path.parent for path in SHIPPED.glob(f"*/{CARD_FILE}"))


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
