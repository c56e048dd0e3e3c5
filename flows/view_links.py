"""Addresses that other viewers open a slide's store by."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from pipeline.view_layers import ViewLayer
from pipeline.view_slide import SlideView

NEUROGLANCER = "https://neuroglancer-demo.appspot.com"

_RGB = """void main() {
  emitRGB(vec3(toNormalized(getDataValue(0)), toNormalized(getDataValue(1)), toNormalized(getDataValue(2))));
}
"""


def neuroglancer_link(view: SlideView, store_url: str) -> str:
    """A link that opens a slide in Neuroglancer: its pictures in colour, nuclei and tissue over them."""
    state = json.dumps(neuroglancer_state(view, store_url), separators=(",", ":"))
    return f"{NEUROGLANCER}/#!{quote(state, safe='')}"


def neuroglancer_state(view: SlideView, store_url: str) -> dict[str, Any]:
    """Neuroglancer's state; the channel axis is renamed `c^`, which makes it one that a shader sees as a whole."""
    layers = [
        _picture(view.layers[name], store_url, name == "image") for name in ("image", "sr") if name in view.layers
    ]
    labels = {"tissue": "labels/tissue", "nuclei": "sr/labels/nuclei" if "sr" in view.layers else "labels/nuclei"}
    there = {"tissue": "tissue" in view.layers, "nuclei": view.nuclei is not None}
    frames = {"tissue": "image", "nuclei": "sr" if "sr" in view.layers else "image"}
    for name, group in labels.items():
        if there[name]:
            mpp = view.layers[frames[name]].frames[0].mpp
            layers.append({"type": "segmentation", "name": name, "visible": False,
                           "source": _source(f"{store_url}/{group}", mpp, channels=False)})  # fmt: skip
    base = view.layers["image"].frames[0]
    metres = [base.mpp * 1e-6, "m"]
    return {
        "dimensions": {"x": metres, "y": metres},
        "position": [base.width / 2, base.height / 2],
        "crossSectionScale": max(1.0, max(base.shape) / 800),
        "layers": layers,
        "layout": "xy",
    }


def _picture(layer: ViewLayer, store_url: str, visible: bool) -> dict[str, Any]:
    url = f"{store_url}/{layer.group}".rstrip("/")
    source = _source(url, layer.frames[0].mpp, channels=True)
    return {"type": "image", "name": layer.title, "source": source, "shader": _RGB, "visible": visible, "opacity": 1,
            "blend": "default"}  # fmt: skip


def _source(url: str, mpp: float, *, channels: bool) -> dict[str, Any]:
    """Where the store's own transforms place it; dimensions are named so that the layers share x and y."""
    metres = [mpp * 1e-6, "m"]
    dimensions: dict[str, Any] = {"c^": [1, ""]} if channels else {}
    return {"url": f"zarr://{url}", "transform": {"outputDimensions": {**dimensions, "y": metres, "x": metres}}}
