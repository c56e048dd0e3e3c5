"""Results in napari, by napari-ome-zarr: where its layers put each nucleus, and what its canvas shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager

from tests.clients.contract import MOST_PX, Floats, Hold, KnownSlide, compare, label_centres, nuclei_shown


def opened(slide: KnownSlide, group: str, *, placed: bool) -> ViewerModel:
    """The layers of a group, as napari opens them, or placed as docs/how-to/napari.md says."""
    PluginManager.instance().discover()
    viewer = ViewerModel()
    viewer.open(str(slide.store / group), plugin="napari-ome-zarr")
    if placed:
        for layer in viewer.layers:
            layer.translate = layer.scale / 2
    return viewer


def world_um(layer: Any, indices: Floats) -> Floats:
    """Where a layer puts indices of its finest level."""
    first, second = (np.array(layer.data_to_world(index)) for index in ((0, 0), (1, 1)))
    return np.asarray(first + indices * (second - first))


def shown_um(viewer: ViewerModel) -> dict[str, Floats]:
    """Where nuclei lie in the world: in the picture, whose colours are layers of their own, and in the labels."""
    images = [layer for layer in viewer.layers if layer._type_string == "image"]
    rgb = np.stack([np.asarray(layer.data[0]) for layer in images], axis=-1)
    places = {"image": world_um(images[0], nuclei_shown(rgb))}
    for layer in viewer.layers:
        if layer._type_string == "labels" and "nuclei" in layer.name:
            places["labels"] = world_um(layer, label_centres(np.asarray(layer.data[0])))
    return places


def test_layers_are_named_coloured_and_measured_in_um(slide: KnownSlide) -> None:
    viewer = opened(slide, "", placed=False)
    images = [layer for layer in viewer.layers if layer._type_string == "image"]
    assert [layer.colormap.name for layer in images] == ["red", "green", "blue"]
    assert {layer.blending for layer in images[1:]} == {"additive"}
    assert all(tuple(layer.contrast_limits) == (0, 255) for layer in images)
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"micrometer"}
    assert any("tissue" in layer.name for layer in viewer.layers)


def test_unchanged_it_shows_each_nucleus_within_a_pixel(slide: KnownSlide, measured: dict[str, Any]) -> None:
    """It drops translations, and so puts the centre of each layer's first pixel where that of level 0 should be."""
    for group in slide.image_groups:
        for kind, places_um in shown_um(opened(slide, group, placed=False)).items():
            shown = compare(slide, places_um / slide.truth.mpp + 0.5)
            what = f"napari, as opened: {group or 'root'} {kind}"
            measured[what] = {"worst_px": round(max(shown.worst_px, measured.get(what, {}).get("worst_px", 0)), 3)}
            assert shown.worst_px < MOST_PX


def test_with_half_a_pixel_added_layers_lie_in_one_place(slide: KnownSlide, hold: Hold) -> None:
    kinds = set()
    for group in slide.image_groups:
        for kind, places_um in shown_um(opened(slide, group, placed=True)).items():
            hold(slide, f"napari, placed: {group or 'root'} {kind}", places_um / slide.truth.mpp)
            kinds.add(kind)
    assert kinds == {"image", "labels"}


def test_a_heat_map_covers_the_slide(slide: KnownSlide) -> None:
    viewer = opened(slide, "heatmaps/crowding", placed=True)
    few, many = viewer.layers
    assert (few.visible, many.visible) == (True, False)
    first, last = few.extent.world  # the centres of its outermost pixels
    np.testing.assert_allclose(first - few.scale / 2, 0, atol=1e-9)
    assert (last + few.scale / 2 >= np.array(slide.truth.frame.shape) * slide.truth.mpp - 4).all()


@pytest.mark.clients
def test_the_canvas_shows_each_nucleus_in_its_place(slide_05: KnownSlide, hold: Hold, tmp_path: Path) -> None:
    """Screenshots at about a level-0 pixel a pixel, and of coarser levels at half of that."""
    if shutil.which("Xvfb") is None:
        pytest.skip("a canvas needs a display: apt install xvfb libgl1-mesa-dri")
    middle_um = np.array(slide_05.truth.frame.shape) * slide_05.truth.mpp / 2
    looks = [(group, share) for group in slide_05.image_groups for share in (1.0, 0.5)]
    asked = [
        {"store": str(slide_05.store / group), "zoom": share / slide_05.truth.mpp, "center_um": middle_um.tolist(),
         "out": str(tmp_path / f"{number}.npy")}
        for number, (group, share) in enumerate(looks)
    ]  # fmt: skip
    for (group, share), look, seen in zip(looks, asked, on_a_display(asked), strict=True):
        picture = np.load(look["out"])
        size_um = np.array(picture.shape[:2]) / seen["zoom"]
        corner_um = np.array(seen["center_um"]) - size_um / 2
        places_um = (nuclei_shown(picture) + 0.5) / seen["zoom"] + corner_um
        what = f"napari canvas, {group or 'root'}, {share:g} px a level-0 px"
        hold(slide_05, what, places_um / slide_05.truth.mpp, slide_05.within(corner_um, corner_um + size_um))


def on_a_display(asked: list[dict[str, Any]]) -> Any:
    """Run scripts/napari_canvas.py on a display without a screen."""
    display = f":{90 + os.getpid() % 100}"
    server = subprocess.Popen(["Xvfb", display, "-screen", "0", "1400x1000x24"], stderr=subprocess.DEVNULL)
    try:
        environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
        script = Path(__file__).parent / "scripts" / "napari_canvas.py"
        done = subprocess.run([sys.executable, script, json.dumps(asked)], check=False, capture_output=True, text=True,
                              env=environment, timeout=200)  # fmt: skip
    finally:
        server.terminate()
        server.wait()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
