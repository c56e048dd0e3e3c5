"""Small files in the layouts of patches, and what asks for them, for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.patches_examples import PatchRequest
from models.slide_reader import OpenSlide, open_tiff
from models.train_config import SourceConfig


def source_of(kind: str = "files", **changes: Any) -> SourceConfig:
    return SourceConfig(**{"name": "set", "licence": "none", "kind": kind, "path": "."} | changes)


def request_of(
    path: Path,
    classes: tuple[str, ...] = ("benign", "malignant"),
    field_px: int = 32,
    mpp: float | None = None,
    open_slide: OpenSlide = open_tiff,
    source_mpp: float | None = None,
    **source: Any,
) -> PatchRequest:
    return PatchRequest(source_of(mpp=source_mpp, **source), path, classes, field_px, mpp, open_slide)


def write_image(path: Path, value: int = 0, height: int = 32, width: int = 32) -> Path:
    """An image of one grey value, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)
    return path


def pgm(values: NDArray[np.uint16], maxval: int) -> bytes:
    """A binary PGM of 16 bits."""
    height, width = values.shape
    return f"P5\n{width} {height}\n{maxval}\n".encode() + values.astype(">u2").tobytes()
