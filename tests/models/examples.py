"""Small networks with lively weights, their cards, and real tissue, for the tests of `models`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from models.bundle import build_network
from models.card import Card
from models.hybrid_resnet import HybridResNetConfig
from models.nuclei_channels import CLASSES
from models.nuclei_unet import NucleiUNetConfig
from models.predict import Precision, Predictor
from models.receptive_field import receptive_radius_px
from models.super_resolution import SuperResolverConfig

Pixels = NDArray[np.uint8]

SMALL_SR = SuperResolverConfig(scale=2, blocks=2, channels=8, norm="none", residual="bicubic", tail_kernel=5)
SMALL_SRGAN = SuperResolverConfig(scale=4, blocks=2, channels=8)
SMALL_UNET = NucleiUNetConfig(base=4, depth=2)
SMALL_HYBRID = HybridResNetConfig(
    depths_a=(1, 1, 1, 1), depths_b=(1, 2, 1, 1), width=8, embed=16, hidden=16, stem="small"
)


def card(config: SuperResolverConfig | NucleiUNetConfig | HybridResNetConfig, **changes: Any) -> Card:
    """The card of a network with this config, its hash still missing."""
    facts: dict[str, Any] = {"parameters": asdict(config), "licence": "Apache-2.0", "limits": "A test's."}
    if isinstance(config, SuperResolverConfig):
        facts |= {"name": "small-sr", "task": "superresolution", "architecture": "srresnet", "mpp": 0.5}
        facts |= {"scale": config.scale, "receptive_radius_px": 12}
    elif isinstance(config, NucleiUNetConfig):
        facts |= {"name": "small-unet", "task": "nuclei", "architecture": "unet", "mpp": 0.25}
        facts |= {"classes": CLASSES, "receptive_radius_px": 0, "stride_px": 2**config.depth}
    else:
        facts |= {"name": "small-hybrid", "task": "classification", "architecture": "hybrid_resnet", "mpp": 1.0}
        facts |= {"classes": ("non-IDC", "IDC"), "field_px": 50}
    return Card(**facts | changes)


def network(of: Card, seed: int = 0) -> nn.Module:
    """The card's network with weights that let every layer matter, in eval mode.

    Fresh weights would hide mistakes: branches and tails begin small, and batch normalisation begins as the identity.
    """
    torch.manual_seed(seed)
    built = build_network(of).eval()
    with torch.no_grad():
        for module in built.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                cast(torch.Tensor, module.running_mean).normal_(0, 0.3)
                cast(torch.Tensor, module.running_var).uniform_(0.5, 2)
                module.weight.uniform_(0.3, 1)
                module.bias.normal_(0, 0.3)
        if isinstance(
            tail := getattr(built, "tail", None), nn.Conv2d
        ):  # draw what 8 bits can show: detail, or a picture
            tail.weight.mul_(0.01 if of.parameters["residual"] == "bicubic" else 0.3)
            cast(torch.Tensor, tail.bias).zero_()
    return built


def predictor(of: Card, precision: Precision = "fp32", seed: int = 0) -> Predictor:
    """A predictor with lively weights on the CPU, whose card states the measured radius."""
    built = network(of, seed)
    if of.task != "classification":
        radius_px = receptive_radius_px(built, scale=of.scale or 1, stride_px=of.stride_px)
        of = Card(**{**{name: getattr(of, name) for name in Card.__slots__}, "receptive_radius_px": radius_px})
    return Predictor(of, built, torch.device("cpu"), precision)


def tissue(height: int, width: int) -> Pixels:
    """(y, x, 3) uint8 RGB of real tissue (a colon, DAB and haematoxylin), from scikit-image."""
    return cast(Pixels, skimage.data.immunohistochemistry()[:height, :width].copy())


def kidney(height: int, width: int) -> Pixels:
    """(y, x, 3) uint8 RGB of an H&E section at 0.25 um/px; skips the test where the data are not there."""
    if "HISTOLOOM_DATA" not in os.environ:
        pytest.skip("HISTOLOOM_DATA names no folder of slides")
    path = Path(os.environ["HISTOLOOM_DATA"]) / "nuclei/monuseg/images/TCGA-18-5592-01Z-00-DX1.webp"
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[:height, :width].copy()


def tile_wise(
    compute: Callable[[Pixels], NDArray[Any]], image: Pixels, *, core_px: int, halo_px: int, scale: int = 1
) -> NDArray[Any]:
    """Compute (y, x, 3) core by core, each read with its halo as far as the image goes, and join the cores."""
    height, width = image.shape[:2]
    rows = []
    for y in range(0, height, core_px):
        row = []
        for x in range(0, width, core_px):
            top, left = max(0, y - halo_px), max(0, x - halo_px)
            output = compute(image[top : y + core_px + halo_px, left : x + core_px + halo_px])
            own_y, own_x = (y - top) * scale, (x - left) * scale
            row.append(output[own_y : own_y + core_px * scale, own_x : own_x + core_px * scale])
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows)
