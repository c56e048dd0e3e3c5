"""Heat maps as pictures: their colours, laid over the slide; and pictures as a page carries them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry import Box
from pipeline.page import data_uri

# From blue over yellow to red, which every colour vision tells apart, and none of which is the stain's.
HEAT_COLOURS = LinearSegmentedColormap.from_list("heat", ["#3155d4", "#2fb5d3", "#f5e35b", "#f98e2b", "#c4161c"])

_FRAME, _HALO = (17, 17, 17), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image inside a page."""

    uri: str
    alt: str
    width: int
    height: int

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], alt: str) -> Picture:
        """(y, x, 3) RGB as a JPEG."""
        height, width = pixels.shape[:2]
        return cls(data_uri(encode(pixels, "JPEG"), "image/jpeg"), alt, width, height)


def encode(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """(y, x, 3) RGB as a PNG or JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 90, "subsampling": 0} if kind == "JPEG" else {}))
    return buffer.getvalue()


def heat_over(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay values (y, x) from 0 to 1 over an image (y, x, 3); where they are NaN, the image stays as it is.

    Below them the image loses half its colour: the stain's own pink would else mix into what the legend says.
    """
    seen = np.isfinite(values)[..., None]
    share = np.where(seen[..., 0], values, 0).clip(0, 1)[..., None]
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]
    colours = np.asarray(HEAT_COLOURS(share[..., 0]))[..., :3] * 255
    opacity = 0.28 + 0.34 * share
    blended = (pixels + grey) / 2 * (1 - opacity) + colours * opacity
    return np.where(seen, blended.round(), pixels).astype(np.uint8)


def heat_scale(width_px: int) -> NDArray[np.uint8]:
    """The colours from 0 to 1 as they look over pale tissue, (1, width_px, 3)."""
    values = np.linspace(0, 1, width_px, dtype=np.float32)[None]
    return heat_over(np.full((1, width_px, 3), 225, np.uint8), values)


def frame_box(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The image with a dark frame of 2 px, seamed white, drawn around a box of it."""
    framed, whole = pixels.copy(), Box(0, 0, *pixels.shape[:2])
    for margin_px, colour in ((4, _HALO), (3, _FRAME), (1, _HALO)):
        rows, columns = whole.clip(box.grow(margin_px)).slices()
        framed[rows, columns] = colour
    rows, columns = whole.clip(box).slices()
    framed[rows, columns] = pixels[rows, columns]
    return framed
