"""A picture small enough to travel inside a page or a message."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from pipeline.page import data_uri


def small_picture(path: Path, side_px: int) -> str:
    """A picture file as a `data:` link, a JPEG of at most `side_px` a side. Raises OSError where it cannot be read."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.thumbnail((side_px, side_px))
        picture.convert("RGB").save(buffer, "JPEG", quality=80)
    return data_uri(buffer.getvalue(), "image/jpeg")
