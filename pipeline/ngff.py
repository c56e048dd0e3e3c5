"""OME-NGFF metadata (0.5 and 0.4) as plain values; no I/O.

Specification: https://ngff.openmicroscopy.org/0.5/. What goes beyond it was found by opening stores in the viewers:
units on every axis (Neuroglancer), translations that place the centres of pixels (Neuroglancer), `omero` channels
(napari), a copy of the list of labels (vizarr). See docs/reference/outputs.md.

Transforms lead to um from the slide's first corner, in every group alike: docs/explanation/coordinates.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.geometry import Frame

NgffVersion = Literal["0.5", "0.4"]
Attributes = dict[str, Any]

# What a viewer fetches at once, and what a writer writes at once (one file, where the format shards).
CHUNK_PX = 256
SHARD_PX = 1024

_RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
_CLASS_COLOURS = ("3B82F6", "EF4444", "22C55E", "EAB308", "A855F7", "06B6D4", "F97316", "EC4899")


@dataclass(frozen=True, slots=True)
class Pyramid:
    """Frames from fine to coarse, each half the one before."""

    levels: tuple[Frame, ...]

    @classmethod
    def over(cls, frame: Frame, coarsest_mpp: float = 0.0, smallest_px: int = CHUNK_PX) -> Pyramid:
        """Halve until the longer side fits into smallest_px and pixels are at least coarsest_mpp, never below 5 px.

        An axis of 3 or 4 px is taken for the colours of the image by some viewers.
        """
        levels = [frame]
        while max(levels[-1].shape) > smallest_px or levels[-1].mpp < coarsest_mpp:
            coarser = levels[-1].halved()
            if min(coarser.shape) < 5:
                break
            levels.append(coarser)
        return cls(tuple(levels))


def _axes(channels: bool) -> list[Attributes]:
    channel = [{"name": "c", "type": "channel"}] if channels else []
    return [*channel, *({"name": name, "type": "space", "unit": "micrometer"} for name in "yx")]


def _transforms(frame: Frame, channels: bool) -> list[Attributes]:
    """From indices to um from the slide's first corner: index 0 is the centre of a pixel, half a pixel from there."""
    lead = [1.0] if channels else []
    half_px = frame.mpp / 2
    return [
        {"type": "scale", "scale": [*lead, frame.mpp, frame.mpp]},
        {"type": "translation", "translation": [*(0.0 for _ in lead), half_px, half_px]},
    ]


def _multiscales(name: str, pyramid: Pyramid, channels: bool, method: str) -> Attributes:
    datasets = [
        {"path": str(level), "coordinateTransformations": _transforms(frame, channels)}
        for level, frame in enumerate(pyramid.levels)
    ]
    return {"name": name, "axes": _axes(channels), "datasets": datasets, "type": method}


def _channel(label: str, colour: str, end: float, active: bool) -> Attributes:
    window = {"min": 0.0, "max": end, "start": 0.0, "end": end}
    return {"label": label, "color": colour, "active": active, "coefficient": 1, "family": "linear",
            "inverted": False, "window": window}  # fmt: skip


def _wrap(version: NgffVersion, content: Attributes) -> Attributes:
    """0.5 keeps everything under `ome`; 0.4 says the version inside each multiscales and image-label."""
    if version == "0.5":
        return {"ome": {"version": "0.5", **content}}
    for entry in [*content.get("multiscales", []), *filter(None, [content.get("image-label")])]:
        entry["version"] = "0.4"
    return content


def image(version: NgffVersion, name: str, pyramid: Pyramid) -> Attributes:
    """Attributes of a group that holds an RGB image, axes (c, y, x)."""
    omero = {
        "channels": [_channel(label, colour, 255.0, True) for label, colour in _RGB],
        "rdefs": {"model": "color", "defaultT": 0, "defaultZ": 0},
    }
    multiscales = _multiscales(name, pyramid, True, "mean of 2 x 2")
    return _wrap(version, {"multiscales": [multiscales], "omero": omero})


@dataclass(frozen=True, slots=True)
class Heatmap:
    """What a heat map shows: a channel a class, values from 0 to `end`."""

    channels: tuple[str, ...]
    end: float = field(default=1.0, kw_only=True)


def heatmap(version: NgffVersion, name: str, pyramid: Pyramid, content: Heatmap) -> Attributes:
    """Attributes of a float32 heat map."""
    channels = [
        _channel(label, _CLASS_COLOURS[index % len(_CLASS_COLOURS)], content.end, index == 0)
        for index, label in enumerate(content.channels)
    ]
    omero = {"channels": channels, "rdefs": {"model": "color", "defaultT": 0, "defaultZ": 0}}
    multiscales = _multiscales(name, pyramid, True, "mean of 2 x 2, absent left out")
    return _wrap(version, {"multiscales": [multiscales], "omero": omero})


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """What one value of a label image stands for."""

    value: int
    code: str
    title: str
    colour: str
    """RRGGBB."""


def labels(version: NgffVersion, name: str, pyramid: Pyramid, legend: Sequence[LegendEntry] = ()) -> Attributes:
    """Attributes of a label image, axes (y, x), that lies on the image two groups up; colours and names by value."""
    multiscales = _multiscales(name, pyramid, False, "most of 2 x 2")
    described: Attributes = {"source": {"image": "../../"}}
    if legend:
        described["colors"] = [
            {"label-value": entry.value, "rgba": [*bytes.fromhex(entry.colour), 255]} for entry in legend
        ]
        described["properties"] = [
            {"label-value": entry.value, "code": entry.code, "title": entry.title} for entry in legend
        ]
    return _wrap(version, {"multiscales": [multiscales], "image-label": described})


def label_list(version: NgffVersion, names: Sequence[str]) -> Attributes:
    """Attributes of a `labels` group; the list stands twice because vizarr looks for it at the root."""
    attributes = _wrap(version, {"labels": list(names)})
    return {**attributes, "labels": list(names)}


def folder(version: NgffVersion, members: Sequence[str]) -> Attributes:
    """Attributes of a group that only leads to others."""
    return _wrap(version, {}) | {"members": list(members)}
