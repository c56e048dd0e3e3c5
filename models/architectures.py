"""The networks by name: architectures with their configs, and named options, which are settings of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.edsr_ise import EdsrIse, EdsrIseConfig
from models.ganrest import Ganrest, GanrestConfig
from models.hybrid_resnet import HybridResNet, HybridResNetConfig
from models.juhong import Juhong, JuhongConfig
from models.lite_unet import LiteUNet, LiteUNetConfig
from models.nuclei_unet import NucleiUNet, NucleiUNetConfig
from models.published_unet import PublishedUNet, PublishedUNetConfig
from models.resnet import ResNet, ResNetConfig
from models.rrdb import Rrdb, RrdbConfig
from models.srvgg import Srvgg, SrvggConfig
from models.stn_resnet import StnResNet, StnResNetConfig
from models.super_resolution import SuperResolver, SuperResolverConfig
from models.wide_activation import WideActivation, WideActivationConfig


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network class with its config class, and the tasks that it serves."""

    config: Callable[..., Any]
    network: Callable[[Any], nn.Module]
    tasks: tuple[str, ...]


ARCHITECTURES: Mapping[str, Architecture] = {
    "srresnet": Architecture(SuperResolverConfig, SuperResolver, ("superresolution",)),
    "wide_activation": Architecture(WideActivationConfig, WideActivation, ("superresolution",)),
    "edsr_ise": Architecture(EdsrIseConfig, EdsrIse, ("superresolution",)),
    "juhong": Architecture(JuhongConfig, Juhong, ("superresolution",)),
    "srvgg": Architecture(SrvggConfig, Srvgg, ("superresolution",)),
    "rrdb": Architecture(RrdbConfig, Rrdb, ("superresolution",)),
    "unet": Architecture(NucleiUNetConfig, NucleiUNet, ("nuclei",)),
    "lite_unet": Architecture(LiteUNetConfig, LiteUNet, ("nuclei",)),
    "published_unet": Architecture(PublishedUNetConfig, PublishedUNet, ("nuclei",)),
    "resnet": Architecture(ResNetConfig, ResNet, ("classification",)),
    "hybrid_resnet": Architecture(HybridResNetConfig, HybridResNet, ("classification",)),
    "ganrest": Architecture(GanrestConfig, Ganrest, ("classification",)),
    "stn_resnet": Architecture(StnResNetConfig, StnResNet, ("classification",)),
}


@dataclass(frozen=True, slots=True)
class Option:
    """An architecture with the parameters that make it what a name promises; the others keep their defaults."""

    architecture: str
    parameters: Mapping[str, Any]


_RESNET_18 = {"depths": (2, 2, 2, 2), "block": "basic", "classes": 2}
_RESNET_101 = {"depths": (3, 4, 23, 3), "classes": 2}

OPTIONS: Mapping[str, Option] = {
    # Ledig et al. 2017, and the body of half the depth of SRGAN-STN-ResNet50
    "srresnet16": Option("srresnet", {"blocks": 16}),
    "srresnet8_003": Option("srresnet", {"blocks": 8}),
    "juhong_002": Option("juhong", {}),
    # WA-SRGAN: weight normalisation is what its authors prefer
    "wa_srgan": Option("wide_activation", {"norm": "wn"}),
    "wa_srgan_wn": Option("wide_activation", {"norm": "wn"}),
    "wa_srgan_bn": Option("wide_activation", {"norm": "bn"}),
    "a_srgan": Option("wide_activation", {"norm": "wn", "expansion": 1}),
    # as published, where attention spans the 64 px of a training crop: the same, on a fixed grid of such squares
    "wa_srgan_seed": Option("wide_activation", {"norm": "wn", "attention": "tile", "window_px": 64}),
    "edsr_ise": Option("edsr_ise", {"se": "improved"}),
    "edsr_ise_plain": Option("edsr_ise", {"se": "plain"}),
    "edsr_ise_none": Option("edsr_ise", {"se": "none"}),
    "srvgg32": Option("srvgg", {"convolutions": 32, "residual": "bicubic"}),
    "rrdb6": Option("rrdb", {"blocks": 6, "residual": "bicubic"}),
    "unet32": Option("unet", {"base": 32}),
    "unet64": Option("unet", {"base": 64}),
    # Juhong et al. 2022
    "unet_seed": Option("published_unet", {}),
    # as torchvision has them, so that its files fit; patches below 100 px are better seen through stem = "small"
    "resnet18": Option("resnet", _RESNET_18),
    "resnet50": Option("resnet", {"depths": (3, 4, 6, 3), "classes": 2}),
    "resnet101": Option("resnet", _RESNET_101),
    "resnet152": Option("resnet", {"depths": (3, 8, 36, 3), "classes": 2}),
    "resnext101": Option("resnet", _RESNET_101 | {"groups": 32, "width_per_group": 8}),
    # the default without a GPU: 1.8 GMAC at 224 px, where the small stem, four times as fine, would cost 27
    "cls_small": Option("resnet", _RESNET_18),
    "msfuse": Option("hybrid_resnet", {}),
    "ganrest_seed": Option("ganrest", {}),
    "stn_resnet50_003": Option("stn_resnet", {}),
}


def resolve(name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the architecture and the parameters that a name stands for; given parameters win over the option's own.

    A name that is no option is returned as it is: it may be an architecture's, which the caller finds out.
    """
    option = OPTIONS.get(name, Option(name, {}))
    return option.architecture, {**option.parameters, **parameters}
