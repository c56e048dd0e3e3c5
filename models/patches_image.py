"""Image files of any depth as 8-bit RGB: grey films beside stained tissue, 16-bit PGM and PNG beside JPEG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data import UNDECODABLE
from models.errors import TrainingError

_LAST_OF_16_BITS = 2**16 - 1
_CURE = "Take it out, or copy it again."


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (y, x, 3) uint8 RGB; grey becomes three equal channels.

    Deeper px are scaled by the largest number that the file could hold: a PGM's maxval, 65,535 in a PNG or TIFF of 16
    bits. The largest that occurs would make the brightness of an image depend on what is on it.

    Raises
    ------
    TrainingError
        that names the file, if it is no image, or one of floating point or 32 bits.
    """
    try:
        with Image.open(path) as image:
            # Pillow scales a PGM of any maxval beyond 255 to 65,535, in mode I.
            return _from_deep(np.asarray(image)) if image.mode[0] in "IF" else np.asarray(image.convert("RGB"))
    except UNDECODABLE as error:
        raise TrainingError.about(path, f"no readable image ({error})", _CURE) from error


def read_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image file from its header alone. Raises TrainingError that names it."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except UNDECODABLE as error:
        raise TrainingError.about(path, f"no readable image ({error})", _CURE) from error


def _from_deep(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return grey values (y, x) of 16 bits as RGB (y, x, 3). Raises ValueError if they are anything else."""
    if not np.issubdtype(values.dtype, np.integer):
        msg = "its px are of floating point, and nobody says which of them is white"
        raise ValueError(msg)
    integers = values.astype(np.int64)
    if integers.size and not 0 <= integers.min() <= integers.max() <= _LAST_OF_16_BITS:
        msg = f"its px run from {integers.min()} to {integers.max()}, beyond 16 bits"
        raise ValueError(msg)
    grey = np.rint(integers * (255 / _LAST_OF_16_BITS)).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
