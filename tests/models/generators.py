"""Narrow copies of every super-resolution network, with weights that let every layer matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.architectures import ARCHITECTURES
from models.edsr_ise import EdsrIse
from models.local_attention import SelfAttention
from models.wide_activation import WideActivation
from tests.models.examples import tissue

Parameters = dict[str, Any]

_WIDE = {"blocks": 2, "channels": 8, "window_px": 8, "anchor_side": 4}
_EDSR = {"blocks": 2, "channels": 16}

NARROW: dict[str, tuple[str, Parameters]] = {
    "srresnet": ("srresnet", {"blocks": 2, "channels": 8}),
    "wide-wn": ("wide_activation", _WIDE | {"attention": "off"}),
    "wide-bn": ("wide_activation", _WIDE | {"attention": "off", "norm": "bn", "activation": "prelu", "scale": 4}),
    "wide-narrow": ("wide_activation", _WIDE | {"attention": "off", "norm": "none", "expansion": 1, "res_scale": 0.5}),
    "wide-window": ("wide_activation", _WIDE | {"attention": "window", "residual": "bicubic"}),
    "wide-tile": ("wide_activation", _WIDE | {"attention": "tile"}),
    "wide-anchor": ("wide_activation", _WIDE | {"attention": "anchor", "anchors": "fixed"}),
    "edsr": ("edsr_ise", _EDSR | {"se": "none"}),
    "edsr-frozen": ("edsr_ise", _EDSR | {"gates": "frozen", "res_scale": 0.5, "scale": 4}),
    "edsr-frozen-plain": ("edsr_ise", _EDSR | {"gates": "frozen", "se": "plain", "residual": "none"}),
    "juhong": ("juhong", {"blocks": 2, "channels": 8, "up_channels": 8}),
    "srvgg": ("srvgg", {"convolutions": 4, "channels": 8, "scale": 4}),
    "srvgg-bicubic": ("srvgg", {"convolutions": 4, "channels": 8, "residual": "bicubic"}),
    "srvgg-none": ("srvgg", {"convolutions": 4, "channels": 8, "residual": "none"}),
    "rrdb": ("rrdb", {"blocks": 1, "channels": 8, "growth": 4, "residual": "bicubic"}),
}
"""Architectures and parameters; each is local, in that a finite halo makes tiles exact."""

WHOLE_IMAGE: dict[str, tuple[str, Parameters]] = {
    "wide-global": ("wide_activation", _WIDE | {"attention": "global"}),
    "wide-anchor-live": ("wide_activation", _WIDE | {"attention": "anchor"}),
    "edsr-live": ("edsr_ise", _EDSR),
    "edsr-live-plain": ("edsr_ise", _EDSR | {"se": "plain"}),
}
"""Those that look at all of the image at once."""


def build(architecture: str, parameters: Parameters) -> nn.Module:
    """The network with fresh weights."""
    kind = ARCHITECTURES[architecture]
    return kind.network(kind.config(**parameters))


def lively(architecture: str, parameters: Parameters, seed: int = 0) -> nn.Module:
    """The network in eval mode, its weights such that no layer hides behind a small start."""
    torch.manual_seed(seed)
    network = build(architecture, parameters).eval()
    with torch.no_grad():
        for module in network.modules():
            _enliven(module)
        network.get_submodule("tail").weight.mul_(0.3)  # type: ignore[operator]  # draw a picture, not black and white
        images = torch.stack([torch.from_numpy(tissue(32, 32 * n)[:, -32:]) for n in (1, 2, 3)]).movedim(3, 1) / 255
        if isinstance(network, EdsrIse) and network.config.gates == "frozen":
            network.freeze_gates(images)
        if isinstance(network, WideActivation) and network.config.anchors == "fixed":
            network.fix_anchors(images)
    return network


def _enliven(module: nn.Module) -> None:
    if parametrize.is_parametrized(module, "weight"):
        length = module.get_parameter("parametrizations.weight.original0")
        length.uniform_(0.5, 1.5)
    elif isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        module.bias.normal_(0, 0.1)
    if isinstance(module, nn.Linear):  # of gates: their few hidden units stay above 0
        module.weight.mul_(0.5)
        module.bias.uniform_(1, 2)
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None
        assert module.running_var is not None
        module.running_mean.normal_(0, 0.3)
        module.running_var.uniform_(0.5, 2)
        module.weight.uniform_(0.3, 1)
        module.bias.normal_(0, 0.3)
    if isinstance(module, nn.PReLU):
        module.weight.uniform_(0.1, 0.4)
    if isinstance(module, SelfAttention):
        module.gamma.fill_(1.0)


def enlarge(network: nn.Module, pixels: NDArray[Any]) -> NDArray[Any]:
    """Map (y, x, 3) RGB in [0, 1] to (scale y, scale x, 3) of the same type."""
    with torch.inference_mode():
        drawn: Tensor = network(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None])
    return np.asarray(drawn[0].permute(1, 2, 0))
