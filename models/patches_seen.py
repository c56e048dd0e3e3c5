"""Patches as a network is shown them: enlarged once and for all, distorted, mixed with one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from models.coarse_scan import Enlarger, enlarger_of
from models.data_patches import PatchSet, read_patches
from models.errors import EvaluationError, TrainingError
from models.slide_reader import OpenSlide, open_tiff
from models.train_config import SourceConfig

NATIVE = "none"
"""Stands for patches as they are, where a name says how they are enlarged."""
_LARGEST_ANGLE = np.pi
_LARGEST_GAIN, _LARGEST_SHEAR, _LARGEST_SHIFT = 1.25, 0.2, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a network sees of a source's patches."""

    root: Path
    """Folder that the source's path starts from."""
    classes: tuple[str, ...]
    field_px: int
    """Side of a patch as the network sees it."""
    mpp: float
    """um per px of the same."""
    sr_pre: str = NATIVE
    """What enlarges the patches before: see `enlargement`."""
    device: str = "auto"
    open_slide: OpenSlide = open_tiff


def read_seen(source: SourceConfig, sight: Sight) -> PatchSet:
    """Return a source's patches (n, field_px, field_px, 3); where they are enlarged, they are read so much coarser.

    Raises
    ------
    TrainingError
        if the data cannot be used, the field is no multiple of the enlargement, or a bundle does something else.
    BundleError
        if a name is no bundle, or its bundle cannot be used.
    """
    enlarger = enlargement(sight.sr_pre, sight.device)
    factor = enlarger.factor if enlarger else 1
    if sight.field_px % factor:
        what = f"sr_pre: a field of {sight.field_px} px is nothing that was enlarged x{factor}"
        raise TrainingError(what, f"Give a field_px that {factor} divides: that of the enlarged patch.")
    read_px, read_mpp = sight.field_px // factor, sight.mpp * factor
    patches = read_patches(source, sight.root, sight.classes, read_px, read_mpp, sight.open_slide)
    return enlarge_patches(patches, enlarger)


def enlargement(name: str, device: str = "auto") -> Enlarger | None:
    """Return how a name enlarges: `bicubic-x2`, or a super-resolution bundle; None for `none`.

    Raises
    ------
    TrainingError
        if a bundle does something else.
    BundleError
        if a name is neither, or its bundle cannot be used.
    """
    if name == NATIVE:
        return None
    try:
        return enlarger_of(name, device=device, precision="fp32")
    except EvaluationError as error:  # here it is a training's setting that is wrong
        what = f"sr_pre: {error.what}"
        raise TrainingError(what, error.cure) from error


def enlarge_patches(patches: PatchSet, enlarger: Enlarger | None) -> PatchSet:
    """Return patches (n, y, x, 3) as (n, factor y, factor x, 3), each on its own; as they are without an enlarger."""
    if enlarger is None:
        return patches
    count, height, width = patches.pixels.shape[:3]
    pixels = np.empty((count, enlarger.factor * height, enlarger.factor * width, 3), np.uint8)
    for place, patch in enumerate(patches.pixels):
        pixels[place] = enlarger.enlarge(patch)
    return replace(patches, pixels=pixels)


def distort(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (y, x, 3) under a random affine map about the centre, bilinear, mirrored where it looks outside.

    At strength 1: turned by any angle, each axis scaled by 0.8 to 1.25, sheared by up to 0.2 and shifted by up to 0.15
    of the side; all of it proportionally less at a lower strength. It is what a spatial transformer could undo.
    """
    angle = rng.uniform(-1, 1) * _LARGEST_ANGLE * strength
    gains = _LARGEST_GAIN ** (rng.uniform(-1, 1, 2) * strength)
    shear = rng.uniform(-1, 1) * _LARGEST_SHEAR * strength
    shift_px = rng.uniform(-1, 1, 2) * _LARGEST_SHIFT * strength * np.array(image.shape[:2])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(gains)
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - matrix @ centre + shift_px
    planes = [
        ndimage.affine_transform(plane, matrix, offset, order=1, mode="mirror") for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(planes, axis=2)


def distort_all(patches: PatchSet, strength: float, seed: int) -> PatchSet:
    """Return every patch distorted by a lot of its own, the same at every call: what is judged must not change."""
    if not strength:
        return patches
    lots = (np.random.default_rng((seed, place)) for place in range(len(patches.pixels)))
    distorted = [distort(patch, strength, lot) for patch, lot in zip(patches.pixels, lots, strict=True)]
    return replace(patches, pixels=np.stack(distorted)) if distorted else patches


def mix(images: Tensor, labels: Tensor, classes: int, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return images (n, 3, y, x) uint8, each mixed with another of the batch, and the classes' shares (n, classes).

    Zhang et al. 2018, "mixup: beyond empirical risk minimization": x = w x_i + (1 - w) x_j, w from Beta(alpha, alpha),
    and the targets likewise; here each image has a weight of its own.
    """
    others = torch.from_numpy(rng.permutation(len(images)))
    weights = torch.from_numpy(rng.beta(alpha, alpha, len(images)).astype(np.float32))
    shares = functional.one_hot(labels, classes).float()
    mixed_shares = weights[:, None] * shares + (1 - weights)[:, None] * shares[others]
    mixed = weights[:, None, None, None] * images + (1 - weights)[:, None, None, None] * images[others]
    return mixed.round().to(torch.uint8), mixed_shares
