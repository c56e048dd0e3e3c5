"""Probability maps of nuclei for tests: drawn ones, whose nuclei are known, and random ones, as awkward as can be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile
from pipeline.nuclei_instances import NucleiParameters

Discs = list[tuple[float, float, float]]

SMALL = NucleiParameters(
    smoothing_px=0.6, max_hole_px=4, seed_height_px=1.0, max_diameter_px=18, max_growth_px=3, least_area_px=6
)
"""Parameters with short reaches, for small maps with many tiles."""


def frame_of(image: NDArray[Any], mpp: float = 0.25) -> Frame:
    """The frame that a (y, x, ...) array covers."""
    return Frame(image.shape[0], image.shape[1], mpp)


def probabilities_of(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """What a perfect network says of a (y, x) label image: (y, x, 3), the contour being the outer 2 px of a nucleus."""
    nucleus = labels > 0
    contour = nucleus & (ndimage.minimum_filter(labels, 5) != ndimage.maximum_filter(labels, 5))
    classes = np.stack([~nucleus, nucleus & ~contour, contour], axis=-1)
    return (0.04 + 0.88 * classes).astype(np.float32)


def discs(shape: tuple[int, int], centres_and_radii: Discs) -> NDArray[np.int32]:
    """Labels of discs (y, x, radius) in px, the later over the earlier."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    labels = np.zeros(shape, np.int32)
    for number, (centre_y, centre_x, radius) in enumerate(centres_and_radii, start=1):
        labels[(y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2] = number
    return labels


def random_probabilities(seed: int, shape: tuple[int, int], grain_px: float = 3.0) -> NDArray[np.float32]:
    """Blobs of every size and shape, touching, in chains, with holes and specks: (y, x, 3)."""
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.standard_normal((*shape, 3)), (grain_px, grain_px, 0))
    logits = 3 * noise / noise.std() + random.uniform(-1, 1, 3) + [0.0, 1.0, -1.0]
    powers = np.exp(logits)
    probabilities: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def with_random_offsets(probabilities: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """The same map with two more channels, (y, x, 5), of smooth offsets that have nothing to do with it."""
    noise = np.random.default_rng(seed).standard_normal((*probabilities.shape[:2], 2))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0))
    return np.concatenate([probabilities, smooth / smooth.std()], axis=-1, dtype=np.float32)


def random_pixels(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """(y, x, 3) RGB of every colour there is."""
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def tile_of(core: Box, read: Box | None = None) -> Tile:
    """A tile by itself; without a halo when `read` is not given."""
    return Tile(0, 0, core, read or core)
