"""The patches that a classifier was surest of, class by class: what a person looks at before trusting it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.geometry import Box
from pipeline.heatmap_summary import decide
from pipeline.store import SlideStore

_COLUMNS = ("x_level0_px", "y_level0_px", "size_level0_px")

# Of one class, this many of the surest patches are weighed against each other. Eight places are found among them even
# where patches overlap by nine tenths, so that 361 of them lie over each other.
_CANDIDATES = 4096

# The coarsest level is some hundred px a side.
_LARGEST_PX = 4096


@dataclass(frozen=True, slots=True)
class TopPatch:
    """A patch, in level-0 px from the slide's first corner, and how sure of its class the classifier was."""

    y_px: float
    x_px: float
    side_px: float
    probability: float

    def overlaps(self, other: TopPatch) -> bool:
        """Whether they share any of the slide."""
        return max(abs(self.y_px - other.y_px), abs(self.x_px - other.x_px)) < min(self.side_px, other.side_px)


def top_patches(path: Path, classifier: str, classes: list[str], threshold: float, most: int) -> list[list[TopPatch]]:
    """Of each class, at most `most` patches of a patches.parquet that belong to it, surest first.

    None overlaps another of its class, else all would show one place. A class is decided as in `heatmap_summary`.
    """
    best: list[list[TopPatch]] = [[] for _ in classes]
    probabilities = [f"p_{label}" for label in classes]
    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(columns=["classifier", *_COLUMNS, *probabilities]):
            rows = batch.filter(pc.equal(batch.column("classifier"), classifier))
            for index, found in enumerate(_surest(rows, probabilities, threshold)):
                best[index] = sorted([*best[index], *found], key=_order)[:_CANDIDATES]
    return [_apart(candidates, most) for candidates in best]


def _surest(rows: pa.RecordBatch, probabilities: list[str], threshold: float) -> list[list[TopPatch]]:
    """Of each class, the surest patches among some rows."""
    values = np.column_stack([rows.column(name).to_numpy(zero_copy_only=False) for name in probabilities])
    x, y, side = (rows.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS)
    chosen = decide(values[:, None], threshold)[:, 0]
    found = []
    for index in range(len(probabilities)):
        own = np.flatnonzero(chosen == index)
        own = own[np.argsort(-values[own, index], kind="stable")[:_CANDIDATES]]
        found.append([TopPatch(*map(float, (y[row], x[row], side[row], values[row, index]))) for row in own])
    return found


def _order(patch: TopPatch) -> tuple[float, float, float]:
    """Surest first; of equal ones, the one that comes first as one reads."""
    return -patch.probability, patch.y_px, patch.x_px


def _apart(candidates: list[TopPatch], most: int) -> list[TopPatch]:
    """The first of the candidates that do not overlap."""
    taken: list[TopPatch] = []
    for patch in candidates:
        if len(taken) == most:
            break
        if not any(patch.overlaps(other) for other in taken):
            taken.append(patch)
    return taken


def cut_patch(store: SlideStore, level0_mpp: float, patch: TopPatch, least_px: int) -> NDArray[np.uint8]:
    """A patch's place on the slide, (y, x, 3) RGB, from the coarsest level that gives it least_px a side.

    The pixels are those that were read, never super-resolved ones. Where the finest level gives fewer, it is enlarged
    by whole pixels. White where a patch reaches beyond the slide. Raises ValueError where a patch is far larger than
    the slide, which only a damaged table says.
    """
    levels = store.pyramid("").levels
    side_um = patch.side_px * level0_mpp
    index = max(level for level, frame in enumerate(levels) if level == 0 or side_um / frame.mpp >= least_px)
    ratio = level0_mpp / levels[index].mpp
    side = max(1, round(patch.side_px * ratio))
    if side > _LARGEST_PX:
        msg = f"a patch of {patch.side_px:g} px is larger than the slide"
        raise ValueError(msg)
    pixels: NDArray[np.uint8] = store.layer(str(index)).read(
        Box(round(patch.y_px * ratio), round(patch.x_px * ratio), side, side)
    )
    zoom = max(1, least_px // side)
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
