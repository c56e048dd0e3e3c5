"""thumbnail.jpg: the slide alone, so small that a page about a thousand slides can carry them all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.output import THUMBNAIL
from pipeline.page import data_uri, write_if_changed
from pipeline.scene import Scene, look_over

SIDE_PX = 192
MOST_BYTES = 12 * 1024
_QUALITIES = (80, 65, 50, 35, 20)

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises of files that are no pictures: SyntaxError of broken PNG files, the last of absurd sizes."""


def write_thumbnail(scene: Scene) -> Path:
    """Draw the thumbnail of the results in the scene's folder."""
    path = scene.folder / THUMBNAIL
    write_if_changed(path, small_jpeg(look_over(scene, (SIDE_PX, SIDE_PX)).pixels))
    return path


def small_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """(y, x, 3) RGB as a JPEG of at most MOST_BYTES, as good as fits; half as wide where even the poorest does not."""
    picture = Image.fromarray(pixels)
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= MOST_BYTES:
                return buffer.getvalue()
        picture = picture.reduce(2)


def thumbnail_uri(path: Path) -> str:
    """A thumbnail as a link that carries it; empty where there is none, or a file that is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as picture:
            fits = max(picture.size) <= SIDE_PX
    except UNREADABLE:
        return ""
    return data_uri(content, "image/jpeg") if fits and len(content) <= MOST_BYTES else ""
