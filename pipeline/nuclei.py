"""The nuclei that a tile owns, as rows: instances of its probabilities whose centroids lie in its core."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.grid import Tile
from pipeline.nuclei_instances import NucleiParameters, nucleus_probability, segment
from pipeline.nuclei_measure import Seen, measure
from pipeline.nuclei_regions import Labels

Keep = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]


def owned_nuclei(
    probabilities: NDArray[np.float32], pixels: NDArray[np.uint8], tile: Tile, frame: Frame, level0: Frame,
    keep: Keep | None, parameters: NucleiParameters,
) -> pa.Table:  # fmt: skip
    """Rows (`nuclei_measure.SCHEMA`) of the nuclei whose centroids lie in `tile.core`, sorted by centroid.

    Parameters
    ----------
    probabilities
        What `segment` takes, over `tile.read`; right at least `parameters.halo_px` around the core,
        or up to the frame's border.
    pixels
        (y, x, 3) RGB over `tile.read`: what the network saw.
    keep
        Which centroids, (y, x) in px of `frame`, lie where nuclei are wanted; all when None.
    """
    read, core = tile.read, tile.core
    if not probabilities.shape[:2] == pixels.shape[:2] == read.shape:
        msg = (
            f"{probabilities.shape[:2]} probabilities, {pixels.shape[:2]} px do not cover a read box of {read.shape} px"
        )
        raise ValueError(msg)
    read = core.grow(parameters.halo_px).clip(read)  # what lies further away decides no nucleus that the core owns
    needed = read.relative_to(tile.read).slices()
    probabilities, pixels = probabilities[needed], pixels[needed]
    labels = segment(probabilities, parameters)
    seen = Seen(read, pixels, nucleus_probability(probabilities))
    cut = _cut_by_the_tile(labels, read, frame)

    def owned(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = (core.y <= y) & (y < core.y_end) & (core.x <= x) & (x < core.x_end)
        inside[cut - 1] = False
        if keep is not None:
            inside[inside] = keep(y[inside], x[inside])
        return inside

    return measure(labels, seen, frame, level0, owned)


def _cut_by_the_tile(labels: Labels, read: Box, frame: Frame) -> Labels:
    """Labels that reach a side of `read` beyond which the frame goes on; at the frame's own border all is seen."""
    sides = [
        labels[0] if read.y > 0 else None,
        labels[-1] if read.y_end < frame.height else None,
        labels[:, 0] if read.x > 0 else None,
        labels[:, -1] if read.x_end < frame.width else None,
    ]
    reached = np.unique(np.concatenate([side for side in sides if side is not None] or [labels[:0, 0]]))
    return reached[reached > 0]
