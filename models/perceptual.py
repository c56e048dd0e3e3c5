"""How different two images look to a network: a loss to train by, and a distance to report.

An encoder is a frozen network's features at several depths. Three kinds: the contracting path of a nuclei network (the
default: it knows H&E and ships with the package), the stages of a patch classifier's ResNets, and VGG19 from the user's
own file, as most papers have it. Report a distance by an encoder that nothing was trained against: a network learns to
please the one in its loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from models.bundle import load_network, read_card
from models.card import Normalisation
from models.errors import BundleError
from models.ganrest import Ganrest
from models.hybrid_resnet import HybridResNet
from models.lite_unet import LiteUNet
from models.nuclei_unet import NucleiUNet
from models.resnet import ResNet
from models.stn_resnet import StnResNet

DEFAULT_ENCODER = "nuclei-unet"
IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
VGG19_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of the 3 x 3 convolutions between VGG19's poolings."""
VGG19_LAST_OF_BLOCK = (2, 7, 16, 25, 34)
"""Places of conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4 in torchvision's `features`."""
VGG19_CLASSIFIER = frozenset(f"classifier.{at}.{part}" for at in (0, 3, 6) for part in ("weight", "bias"))
CONVERSION = (
    "Convert torchvision's file once: python -c \"import torch, safetensors.torch as s; "
    "s.save_file(torch.load('vgg19.pth', weights_only=True), 'vgg19.safetensors')\""
)


class Encoder(Protocol):
    """What the loss and the distance ask of a network: features at several depths."""

    def features(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x) RGB in [0, 1] to features (n, c, y / s, x / s), a tensor a depth, the shallowest first."""
        ...


class FrozenEncoder(nn.Module, ABC):
    """An `Encoder` on a network with fixed weights, always in eval mode, that normalises its input itself."""

    def __init__(self, name: str, normalisation: Normalisation, stride_px: int) -> None:
        super().__init__()
        self.name = name
        """For reports: the bundle's name, or the file's."""
        self.stride_px = stride_px
        """Of the deepest features."""
        self.register_buffer("mean", torch.tensor(normalisation.mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(normalisation.std).reshape(1, 3, 1, 1))

    def features(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x) RGB in [0, 1] to features, the shallowest first, on the encoder's device and in its type.

        Sides that are no multiple of the stride are first extended to one, to the right and below, by repeating the
        last px: so every px counts at every depth, and any size will do.
        """
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        height, width = image.shape[2:]
        overhang = (0, -width % self.stride_px, 0, -height % self.stride_px)
        return self._depths((functional.pad(image.to(mean), overhang, mode="replicate") - mean) / std)

    @abstractmethod
    def _depths(self, image: Tensor) -> list[Tensor]:
        """Map (n, 3, y, x), normalised, sides multiples of the stride, to features."""

    def train(self, mode: bool = True) -> Self:
        """Do nothing: a training that switches all its modules must not unfreeze the batch normalisation here."""
        return super().train(mode=False)

    def _freeze(self) -> None:
        """Call when the network is in place; channels last, which convolutions on a CPU run through twice as fast."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's own types
        self.requires_grad_(requires_grad=False).eval()


class UNetEncoder(FrozenEncoder):
    """The contracting path of a nuclei U-Net: each level's features before its last ReLU, strides 1, 2, 4 and on."""

    def __init__(self, name: str, network: NucleiUNet, normalisation: Normalisation) -> None:
        super().__init__(name, normalisation, network.stride_px)
        self.levels = nn.ModuleList(nn.Sequential(*list(level.children())[:-1]) for level in network.encode)
        self._freeze()

    def _depths(self, image: Tensor) -> list[Tensor]:
        depths = [self.levels[0](image)]
        for level in list(self.levels)[1:]:
            depths.append(level(functional.max_pool2d(functional.relu(depths[-1]), 2)))
        return depths


class LiteUNetEncoder(FrozenEncoder):
    """What a LiteUNet's decoder joins: its look at the picture, then its encoder's features, strides 1, 2, 4 and on."""

    def __init__(self, name: str, network: LiteUNet, normalisation: Normalisation) -> None:
        super().__init__(name, normalisation, network.stride_px)
        self.network = network
        self._freeze()

    def _depths(self, image: Tensor) -> list[Tensor]:
        return self.network.contract(image)


class ResNetEncoder(FrozenEncoder):
    """The four stages of a patch classifier's ResNet, behind their ReLU; of both ResNets where it joins two."""

    def __init__(self, name: str, backbones: Sequence[ResNet], normalisation: Normalisation) -> None:
        super().__init__(name, normalisation, 8 if backbones[0].config.stem == "small" else 32)
        self.backbones = nn.ModuleList(backbones)
        self._freeze()

    def _depths(self, image: Tensor) -> list[Tensor]:
        return [stage for backbone in self.backbones for stage in cast(ResNet, backbone).stages(image)]


class VGG19Encoder(FrozenEncoder):
    """VGG19 as far as conv5_4: the last convolution of each of its five blocks, before the ReLU; strides 1 to 16.

    Simonyan and Zisserman 2015, trained on ImageNet; ESRGAN (Wang et al. 2018) compares conv5_4 before its ReLU.
    The file has torchvision's names (`features.0.weight`); its classifier may be in it, and is not read.

    Raises
    ------
    BundleError
        if the file cannot be read, is no safetensors file (a pickle is never opened), or a tensor is missing, unknown,
        of another shape than VGG19's, or not finite.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, IMAGENET, 16)
        with torch.device("meta"):
            self.layers = nn.Sequential(*_vgg19_layers())
        wanted = {f"features.{name}": tensor.shape for name, tensor in self.layers.state_dict().items()}
        tensors = _read_vgg19(path, wanted)
        self.layers.load_state_dict({name.removeprefix("features."): one for name, one in tensors.items()}, assign=True)
        self._freeze()

    def _depths(self, image: Tensor) -> list[Tensor]:
        depths = []
        for at, layer in enumerate(self.layers):
            image = layer(image)
            if at in VGG19_LAST_OF_BLOCK:
                depths.append(image)
        return depths


def load_encoder(name_or_path: str | Path = DEFAULT_ENCODER) -> FrozenEncoder:
    """Return the encoder that a bundle (nuclei network or patch classifier) or a file of VGG19's weights makes.

    A name is a shipped bundle's; a path is a bundle's folder, or a file with VGG19's weights.

    Raises
    ------
    BundleError
        if there is no such bundle, its network is no encoder, or bundle or file are not what they claim to be.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file() or path.suffix in (".safetensors", ".pth", ".pt"):
        return VGG19Encoder(path)
    card = read_card(name_or_path)
    match load_network(name_or_path):
        case NucleiUNet() as network:
            return UNetEncoder(card.name, network, card.normalisation)
        case LiteUNet() as network:
            return LiteUNetEncoder(card.name, network, card.normalisation)
        case (ResNet() | HybridResNet() | Ganrest() | StnResNet()) as network:
            return ResNetEncoder(card.name, list(network.resnets().values()), card.normalisation)
    what = f"architecture {card.architecture!r} makes no encoder (U-Nets of nuclei and classifiers do)"
    raise BundleError.about(name_or_path, what, f"Take {DEFAULT_ENCODER}, or a file with VGG19's weights.")


def perceptual_loss(encoder: Encoder, drawn: Tensor, truth: Tensor) -> Tensor:
    """Return the mean over depths of the mean |f(drawn) - f(truth)|, f the features, for (n, 3, y, x) in [0, 1].

    Johnson et al. 2016, with L1 as in ESRGAN. Only `drawn` gets a gradient.
    """
    with torch.no_grad():
        wanted = encoder.features(truth)
    pairs = zip(encoder.features(drawn), wanted, strict=True)
    return torch.stack([functional.l1_loss(found, right) for found, right in pairs]).mean()


def perceptual_distance(encoder: Encoder, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the distance 0..4 of two RGB images (y, x, 3) of one size, any size: 0 for equal ones.

    At each place of each depth the features are divided by their length over channels; the distance is the squared
    difference of the two, summed over channels, averaged over places, then over depths: LPIPS (Zhang et al. 2018)
    without its learned channel weights, so its figures cannot be compared with LPIPS's. How sides are brought to the
    stride, see `FrozenEncoder.features`. The default encoder takes about 1 GB a megapixel.

    Raises
    ------
    ValueError
        if the images differ in size.
    """
    if one.shape != other.shape:
        msg = f"images of one size are compared, not {one.shape} with {other.shape}"
        raise ValueError(msg)
    with torch.inference_mode():
        pairs = zip(*(encoder.features(_tensor(image)) for image in (one, other)), strict=True)
        directions = ((functional.normalize(a, eps=1e-10), functional.normalize(b, eps=1e-10)) for a, b in pairs)
        return float(torch.stack([(a - b).square().sum(1).mean() for a, b in directions]).mean())


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    """Return (1, 3, y, x) in [0, 1] of (y, x, 3) uint8."""
    return torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def _vgg19_layers() -> Iterator[nn.Module]:
    """Yield VGG19's layers to conv5_4, at torchvision's places: 35 of the 37 of its `features`."""
    channels_in = 3
    for block, (channels, depth) in enumerate(VGG19_BLOCKS):
        if block:
            yield nn.ReLU()  # not in place: what is before it is wanted
            yield nn.MaxPool2d(2)
        for at in range(depth):
            if at:
                yield nn.ReLU(inplace=True)
            yield nn.Conv2d(channels_in, channels, 3, padding=1)
            channels_in = channels


def _read_vgg19(path: Path, wanted: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Return the wanted tensors of a safetensors file in fp32, names, shapes and numbers checked."""
    try:
        with safe_open(path, framework="pt") as file:
            found = set(file.keys())
            for names, what in ((wanted.keys() - found, "lacks"), (found - wanted.keys() - VGG19_CLASSIFIER, "has")):
                if names:
                    raise BundleError.about(path, f"{what} {min(names)!r}, unlike torchvision's VGG19", CONVERSION)
            for name, shape in wanted.items():
                if (has := tuple(file.get_slice(name).get_shape())) != tuple(shape):
                    raise BundleError.about(path, f"{name!r} is {has} where VGG19 has {tuple(shape)}", CONVERSION)
            tensors = {name: file.get_tensor(name).float() for name in wanted}
    except OSError as error:
        raise BundleError.about(path, f"cannot be read ({error})", "Name the file with VGG19's weights.") from error
    except SafetensorError as error:
        raise BundleError.about(path, f"no safetensors file; pickles are never opened ({error})", CONVERSION) from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise BundleError.about(path, f"{name!r} holds a number that is not finite", CONVERSION)
    return tensors
