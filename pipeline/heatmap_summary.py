"""What a heat map says of the slide as a whole: how much tissue belongs to each class, and the largest focus of each.

A place belongs to one class. Of two classes it is the second where its probability reaches the operating point, that
the classifier's card may state (`postprocessing.operating_point`, else 0.5), and the first elsewhere; of more classes
it is the likeliest. Areas are of tissue: glass that a patch covers too does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.foci import FociTracer, Focus
from pipeline.geometry import Box, Frame
from pipeline.histogram import Histogram
from pipeline.store import Layer, SlideStore

_STRIP_PX = 256
_EVEN = 0.5
_NOWHERE = -1
SPREAD_BINS = 50


@dataclass(frozen=True, slots=True)
class ClassArea:
    """One class over the slide."""

    label: str
    area_mm2: float
    share: float
    """Of the tissue that was judged."""
    foci: int
    largest: Focus | None
    """In px of the heat map."""
    spread: Histogram = field(compare=False)
    """Pixels of judged tissue by the probability of this class."""


@dataclass(frozen=True, slots=True)
class HeatmapSummary:
    """One classifier over the slide."""

    frame: Frame
    """The heat map's finest level."""
    operating_point: float
    classes: tuple[ClassArea, ...]
    judged_mm2: float
    left_out_mm2: float
    """Tissue in patches that hold too little of it to be judged."""

    def as_dict(self, level0: Frame) -> dict[str, Any]:
        """Plain values for run.json; places in um and in px of `level0`."""
        return {
            "operating_point": self.operating_point,
            "judged_mm2": self.judged_mm2,
            "left_out_mm2": self.left_out_mm2,
            "classes": {
                area.label: {
                    "area_mm2": area.area_mm2,
                    "share": area.share,
                    "foci": area.foci,
                    "largest_focus": describe_focus(area.largest, self.frame, level0) if area.largest else None,
                }
                for area in self.classes
            },
        }


def describe_focus(focus: Focus, frame: Frame, level0: Frame) -> dict[str, float]:
    """A focus's area in mm2, its centroid in um, and the box around it in px of `level0`."""
    ratio = level0.pixels_per(frame)
    return {
        "area_mm2": focus.area_px * frame.mpp**2 / 1e6,
        "centroid_y_um": focus.y_px * frame.mpp,
        "centroid_x_um": focus.x_px * frame.mpp,
        "y_level0_px": focus.box.y * ratio,
        "x_level0_px": focus.box.x * ratio,
        "height_level0_px": focus.box.height * ratio,
        "width_level0_px": focus.box.width * ratio,
    }


def operating_point(postprocessing: Mapping[str, object], classifier: str) -> float:
    """The probability from which on a place counts as the second of two classes; `ConfigError` where it is none."""
    value = postprocessing.get("operating_point", _EVEN)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        msg = f"{classifier}: its card says operating_point = {value!r}"
        raise ConfigError(msg, "Write a probability between 0 and 1 there, or leave it out for 0.5.")
    return float(value)


def decide(values: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """The class (y, x) that probabilities (y, x, classes) make a place; -1 where they are NaN."""
    judged = np.isfinite(values).all(axis=-1)
    chosen = values[..., 1] >= threshold if values.shape[-1] == 2 else values.argmax(axis=-1)
    return np.where(judged, chosen.astype(np.int64), _NOWHERE)


def summarise_heatmap(store: SlideStore, classifier: str, threshold: float) -> HeatmapSummary:
    """Read a finished heat map and the mask beside it, a strip at a time."""
    group = f"heatmaps/{classifier}"
    heat, labels = store.layer(f"{group}/0"), store.classes(group)
    tallies = [_ClassTally() for _ in labels]
    left_out_px = 0
    for values, tissue in _strips(heat, mask_beside(store, heat.frame)):
        chosen = decide(values, threshold)
        left_out_px += int((tissue & (chosen == _NOWHERE)).sum())
        for index, tally in enumerate(tallies):
            tally.add(values[..., index], tissue & (chosen == index), tissue & (chosen != _NOWHERE))
    px_mm2 = heat.frame.mpp**2 / 1e6
    judged_px = sum(tally.area_px for tally in tallies)
    areas = [tally.summary(label, judged_px, px_mm2) for label, tally in zip(labels, tallies, strict=True)]
    return HeatmapSummary(heat.frame, threshold, tuple(areas), judged_px * px_mm2, left_out_px * px_mm2)


@dataclass(slots=True)
class _ClassTally:
    """What strips say about one class."""

    area_px: int = 0
    tracer: FociTracer = field(default_factory=FociTracer)
    spread: Histogram = field(default_factory=lambda: Histogram(1 / SPREAD_BINS, SPREAD_BINS))

    def add(self, values: NDArray[np.float32], owned: NDArray[np.bool_], judged: NDArray[np.bool_]) -> None:
        self.area_px += int(owned.sum())
        self.tracer.add(owned)
        self.spread.add(values[judged])

    def summary(self, label: str, judged_px: int, px_mm2: float) -> ClassArea:
        foci = self.tracer.foci()
        largest = foci[0] if foci else None
        share = self.area_px / max(1, judged_px)
        return ClassArea(label, self.area_px * px_mm2, share, len(foci), largest, self.spread)


def mask_beside(store: SlideStore, frame: Frame) -> Layer | None:
    """The tissue mask on the pixels of a heat map; None in a store without one."""
    if not store.has("labels/tissue"):
        return None
    levels = store.pyramid("labels/tissue").levels
    return store.layer(f"labels/tissue/{levels.index(frame)}") if frame in levels else None


def _strips(heat: Layer, mask: Layer | None) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Probabilities (y, x, classes) and tissue (y, x) of strips as wide as the map, from top to bottom."""
    whole = heat.frame.box
    for y in range(0, whole.height, _STRIP_PX):
        box = whole.clip(Box(y, 0, _STRIP_PX, whole.width))
        values = heat.read(box)
        yield values, np.isfinite(values).all(axis=-1) if mask is None else mask.read(box) > 0
