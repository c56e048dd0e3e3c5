"""Write a tiled pyramidal TIFF, tile by tile, that openslide and tiffslide read with the right resolution.

The layout is Aperio's: level 0, a thumbnail in strips, then the lower levels, and `MPP` in the description. Both readers
take the resolution of that layout literally, and any downsample; of a plain TIFF, tiffslide takes factors 2 to 4 only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pipeline.geometry import Box, Frame

Compression = Literal["jpeg", "deflate"]
Render = Callable[[Box], NDArray[np.uint8]]
"""(y, x, 3) RGB of a box of level 0."""

TILE_PX = 256
_JPEG_QUALITY = 90
_THUMBNAIL_PX = 1024
# Level-0 pixels that are rendered at once along one axis, to bound memory.
_RENDER_PX = 1024


def write_pyramidal_tiff(
    path: Path,
    level0: Frame,
    render: Render,
    *,
    level_downsamples: Sequence[float] = (1, 4, 16),
    compression: Compression = "jpeg",
) -> None:
    """Write what `render` shows; memory does not grow with the slide, and `path` appears only when complete.

    Every level spans the whole slide, rounded to whole pixels, and its pixels are means over the level-0 area that they
    cover. Downsamples need not be whole.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tifffile.TiffWriter(partial, bigtiff=level0.box.area_px > 2**30) as tiff:
            thumbnail = _Thumbnail(level0)
            for number, downsample in enumerate(level_downsamples):
                tiles = _tiles(level0, downsample, render, thumbnail if number == 0 else None)
                _write_level(tiff, _level_shape(level0, downsample), tiles, compression, _description(level0, number))
                if number == 0:
                    tiff.write(thumbnail.pixels, photometric="rgb", description="Aperio thumbnail", metadata=None)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
