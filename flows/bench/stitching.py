"""Folding judged patches into a heat map in the store."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from flows.bench.measurement import Measurement, Trial, rates, seconds_of
from flows.bench.subject import Subject

_GROUP = "stitching"
_STRIDE_PX, _SIDE_PX = 16, 32


def trials(subject: Subject) -> Iterator[Trial]:
    """One."""
    side = subject.sizes.heatmap_px
    name = f"heat map, {side:,} px"
    yield Trial(_GROUP, (name,), partial(_fold, subject, side, name))


def _fold(subject: Subject, side: int, name: str) -> list[Measurement]:
    import numpy as np

    from pipeline.geometry import Frame
    from pipeline.heatmap_fold import PatchGrid, fold_grid
    from pipeline.ngff import Heatmap, Pyramid
    from pipeline.store import SlideStore

    patches = side // _STRIDE_PX - 1
    values = np.random.default_rng(0).random((patches, patches, 2), np.float32)
    grid = PatchGrid(values, _STRIDE_PX, _SIDE_PX)
    core_px = subject.sizes.core_px
    store = SlideStore(subject.scratch / "heatmap.ome.zarr")
    store.create_heatmap("heatmaps/bench", Pyramid((Frame(side, side, 4.0),)), Heatmap(("a", "b")), core_px)
    layer = store.layer("heatmaps/bench/0")
    took = seconds_of(lambda: fold_grid(grid, layer, core_px), subject.repeat)
    note = f"heat map: of {patches**2:,} patches that overlap by half, 2 classes"
    return [Measurement(_GROUP, name, "megapixels/s", "higher", rates(side**2 / 1e6, took), note)]
