"""Augmentations that histology allows: any of the square's eight orientations, magnification, stain, focus.

All work on numpy images (y, x, 3) uint8 and draw from a generator that is passed in: an example is reproducible.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb_from_hed

RGB_FROM_HED: NDArray[np.float64] = np.asarray(rgb_from_hed, dtype=np.float64)
"""Optical density in R, G, B (columns) of haematoxylin, eosin and DAB (rows); Ruifrok and Johnston 2001."""
_DENSITY = -np.log((np.arange(256) + 1) / 256).astype(np.float32)


ANY = tuple(range(8))
UPRIGHT = (0, 2, 4, 6)
"""Orientations of `orient` that leave rows rows: files halve the resolution of colour along rows alone."""


def orient(image: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Return (y, x, ...) turned by `orientation % 4` quarters, then mirrored for 4 and above (the group D4).

    H&E sections have no up and no left, so all eight are equally true.
    """
    turned = np.rot90(image, orientation % 4)
    return turned[:, ::-1] if orientation >= 4 else turned


def jitter_stain(image: NDArray[np.uint8], rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    """Return (y, x, 3) with each stain's density scaled by 1 +- strength and shifted by +- strength / 10.

    Tellez et al. 2018, "Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference": the image is
    unmixed into haematoxylin, eosin and a residual, each is changed on its own, and mixed again. Both steps are linear
    in optical density, so they are one 3 x 3 matrix.
    """
    gains = 1 + rng.uniform(-strength, strength, 3)
    shifts = rng.uniform(-strength, strength, 3) / 10
    mixing = np.linalg.inv(RGB_FROM_HED) @ np.diag(gains) @ RGB_FROM_HED
    density = _DENSITY[image] @ mixing.astype(np.float32) + (shifts @ RGB_FROM_HED).astype(np.float32)
    return np.clip(256 * np.exp(-density) - 1 + 0.5, 0, 255).astype(np.uint8)


def soften(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Return (y, x, 3) of the same size with the detail that a scanner of `factor` times the mpp leaves."""
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    reduced = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(reduced.resize((width, height), Image.Resampling.BICUBIC))


def random_box(
    shape: tuple[int, int], side_px: int, rng: np.random.Generator, *, multiple: int = 1
) -> tuple[slice, slice]:
    """Return a random square (rows, columns) within an image of `shape`, at a multiple; smaller where the image is."""
    return tuple(_random_slice(length, side_px, rng, multiple) for length in shape)  # type: ignore[return-value]


def _random_slice(length: int, side_px: int, rng: np.random.Generator, multiple: int) -> slice:
    last = max(length - side_px, 0) // multiple
    start = int(rng.integers(last + 1)) * multiple
    return slice(start, min(start + side_px, length))


def magnify(image: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return a square crop (y, x, 3) at another side, bilinear."""
    if image.shape[:2] == (side_px, side_px):
        return image
    return np.asarray(Image.fromarray(image).resize((side_px, side_px), Image.Resampling.BILINEAR))


def magnify_labels(labels: NDArray[np.int32], side_px: int) -> NDArray[np.int32]:
    """Return a square crop (y, x) of labels at another side, each px the label at its centre."""
    height, width = labels.shape
    rows, columns = (((np.arange(side_px) + 0.5) * length / side_px).astype(int) for length in (height, width))
    magnified: NDArray[np.int32] = labels[rows[:, None], columns]
    return magnified
