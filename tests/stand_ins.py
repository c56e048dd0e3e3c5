"""Networks whose answers can be foretold: computed from pixels alone, by a rule with a known reach.

The classes are loaders, as `pipeline.stage.Network` wants them: values that can be compared, hashed and sent to other
processes, and that give a predictor when called. The functions are the predictors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.synthetic import VIOLET_BELOW_RED
from pipeline.workspace import Predictor

VIOLET_CLASSES = ("background", "interior", "contour")
VIOLET_RADIUS_PX = 2
"""How far `violet` looks around a pixel: the halo that it needs."""

# Mean red of the two kinds of tissue on synthetic slides.
STROMA_RED, NUCLEUS_RED = 228, 88


@dataclass(frozen=True, slots=True)
class Violet:
    """Loads `violet`, which finds the nuclei of synthetic slides."""

    def __call__(self) -> Predictor:
        return violet


@dataclass(frozen=True, slots=True)
class Doubling:
    """Loads `doubled`, a super-resolution x2 that invents nothing."""

    def __call__(self) -> Predictor:
        return doubled


@dataclass(frozen=True, slots=True)
class Crowding:
    """Loads `crowding`, a classifier that tells patches with many nuclei from those with few."""

    def __call__(self) -> Predictor:
        return crowding


def violet(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, y, x, {background, interior, contour}) of (n, y, x, 3): nucleus where it is violet, contour its outer 2 px.

    Beyond a tile's border lies more of what is at it: no contour comes about by cutting a nucleus in two.
    """
    side = 2 * VIOLET_RADIUS_PX + 1
    nucleus = tiles[..., 0] < VIOLET_BELOW_RED
    interior = ndimage.minimum_filter(nucleus, (1, side, side), mode="nearest")
    classes = np.stack([~nucleus, interior, nucleus & ~interior], axis=-1)
    return np.where(classes, np.float32(0.9), np.float32(0.05))


def doubled(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 2y, 2x, 3) of (n, y, x, 3): every pixel four times."""
    return tiles.repeat(2, axis=1).repeat(2, axis=2)


def crowding(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, {few, many}) of (n, y, x, 3): how much of a patch is nucleus; 20 % of it or more is many for certain.

    Nuclei take red away, and a mean of red is the same at every resolution, where nuclei are less than a pixel too.
    """
    nuclear = (STROMA_RED - patches[..., 0].mean(axis=(1, 2))) / (STROMA_RED - NUCLEUS_RED)
    many = np.clip(nuclear / 0.2, 0, 1)
    return np.stack([1 - many, many], axis=-1).astype(np.float32)
