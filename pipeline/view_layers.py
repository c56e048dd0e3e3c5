"""Which layers a slide's store has for a viewer, what they mean, and where they lie on the slide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.geometry import Frame
from pipeline.record import plain
from pipeline.store import SlideStore

TILE_PX = 512

_HEAT_COLOURS = ("#3155d4", "#2fb5d3", "#f5e35b", "#f98e2b", "#c4161c")
_MASK_COLOUR = "#0f766e"
_CONSISTENCY = "sr-consistency"
_DENSITY = "nuclei-density"


@dataclass(frozen=True, slots=True)
class ViewLayer:
    """One picture that can be laid over the slide."""

    id: str
    kind: Literal["rgb", "scalar", "mask"]
    title: str
    group: str
    """In the store."""
    frames: tuple[Frame, ...]
    """From fine to coarse, each half the one before; all from the slide's first corner."""
    explanation: str
    channel: int = 0
    """Of a scalar layer."""
    range: tuple[float, float] | None = None
    unit: str | None = None
    legend: tuple[tuple[int, str, str], ...] = ()
    """Of a mask: value, title, colour."""

    @property
    def max_level(self) -> int:
        """The number of the finest level, counted from the coarsest."""
        return len(self.frames) - 1

    def frame(self, level: int) -> Frame | None:
        """The frame of a level that is counted from the coarsest; None where there is no such level."""
        return self.frames[self.max_level - level] if 0 <= level <= self.max_level else None

    def path(self, level: int) -> str:
        """Where the store keeps a level that is counted from the coarsest."""
        return f"{self.group}/{self.max_level - level}".lstrip("/")

    def as_dict(self, level0: Frame) -> dict[str, Any]:
        """What a page must know; places in px of `level0`, from edge to edge.

        Every frame begins at the slide's first corner, so that only the far edge has to be computed: it may lie a
        little beyond the slide, where a frame's last pixels overhang it.
        """
        finest = self.frames[0]
        px = level0.pixels_per(finest)
        place = {"x_level0_px": 0.0, "y_level0_px": 0.0,
                 "width_level0_px": finest.width * px, "height_level0_px": finest.height * px}  # fmt: skip
        steps = len(_HEAT_COLOURS) - 1
        colours = None
        if self.range is not None:
            low, high = self.range
            colours = [[low + (high - low) * step / steps, colour] for step, colour in enumerate(_HEAT_COLOURS)]
        legend = [{"value": value, "title": title, "colour": colour} for value, title, colour in self.legend]
        return {
            "id": self.id, "kind": self.kind, "title": self.title, "width_px": finest.width,
            "height_px": finest.height, "tile_px": TILE_PX, "max_level": self.max_level, "mpp": finest.mpp,
            "place": place, "range": self.range, "unit": self.unit, "colours": colours, "legend": legend or None,
            "explanation": self.explanation,
        }  # fmt: skip


def list_layers(store: SlideStore) -> list[ViewLayer]:
    """The layers of a store, the slide's own picture first; of a run that is going on, those that are begun."""
    return [*_pictures(store), *_masks(store), *_maps(store)]


def _pictures(store: SlideStore) -> Iterator[ViewLayer]:
    if store.has(""):
        frames = store.pyramid("").levels
        words = f"What was read from the slide, at {frames[0].mpp:.4g} um/px. White: not read, no tissue near."
        yield ViewLayer("image", "rgb", "As read", "", frames, words)
    if store.has("sr"):
        frames = store.pyramid("sr").levels
        words = f"Super-resolved to {frames[0].mpp:.4g} um/px: finer detail is estimated by a network, not measured."
        yield ViewLayer("sr", "rgb", "Super-resolved (estimated)", "sr", frames, words)


def _masks(store: SlideStore) -> Iterator[ViewLayer]:
    for name in store.images("labels"):
        if name == "nuclei":
            continue  # drawn from their outlines
        group, title, layer_id = f"labels/{name}", _titled(name), f"qc:{name}"
        words = f"{title}: where the value is not 0."
        if name == "tissue":
            layer_id, words = "tissue", "Where tissue was found, and work was done."
        elif name == "qc":
            layer_id, title, words = "qc", "Quality control", "What quality control flags; 0 where it flags nothing."
        told = [(value, plain(entry), colour) for value, entry, colour in store.legend(group)]
        legend = tuple(told) or ((1, title, _MASK_COLOUR),)
        yield ViewLayer(layer_id, "mask", title, group, store.pyramid(group).levels, words, legend=legend)


def _maps(store: SlideStore) -> Iterator[ViewLayer]:
    for parent in ("heatmaps", "qc"):
        for name in store.images(parent):
            yield from _channels(store, parent, name)


def _channels(store: SlideStore, parent: str, name: str) -> Iterator[ViewLayer]:
    group = f"{parent}/{name}"
    frames = store.pyramid(group).levels
    classes, windows = store.classes(group), store.windows(group)
    for channel, (label, window) in enumerate(zip(classes, windows, strict=True)):
        layer_id, title, unit, words = _described(parent, name, plain(label), len(classes))
        yield ViewLayer(layer_id, "scalar", title, group, frames, words, channel, window, unit)


def _described(parent: str, name: str, label: str, channels: int) -> tuple[str, str, str | None, str]:
    """Id, title, unit and explanation of one channel of a map."""
    if parent == "qc" and name == _CONSISTENCY:
        words = ("Where the super-resolved picture, reduced again, departs from what the scanner saw: root mean square "
                 "difference, 1 being black against white. High: the network invents.")  # fmt: skip
        return "consistency", "Super-resolution consistency", "RMS difference", words
    if parent == "qc":
        layer_id = f"qc:{name}" if channels == 1 else f"qc:{name}:{label}"
        return layer_id, f"{_titled(name)}: {label}", None, f"Quality control: {label}."
    if name == _DENSITY:
        words = "Nuclei per mm2 of tissue, smoothed by a Gaussian of 50 um; empty where there is no tissue."
        return f"heatmap:{name}:{label}", "Density of nuclei", "nuclei/mm²", words
    words = f"Probability of {label} by the classifier {plain(name)}; empty where nothing was judged."
    return f"heatmap:{name}:{label}", f"{plain(name)}: {label}", "probability", words


def _titled(name: str) -> str:
    words = plain(name).replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]
