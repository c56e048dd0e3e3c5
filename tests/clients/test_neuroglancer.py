"""Neuroglancer, its own client in headless Chromium, by the link that `histoloom view` gives."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.clients.contract import Floats, Hold, KnownSlide, nuclei_shown
from tests.clients.server import viewing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.clients

# All that is loaded is drawn, and nothing moves any more.
_READY = "() => window.viewer && window.viewer.isReady()"
_PANEL = """() => {
  const box = [...window.viewer.display.panels].find(panel => panel.navigationState).element.getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
}"""


@pytest.fixture(scope="module")
def client() -> Any:
    """Neuroglancer's Python server, which serves the client and hands it states."""
    neuroglancer = pytest.importorskip("neuroglancer", reason="pip install 'histoloom[clients]'")
    neuroglancer.set_server_bind_address("127.0.0.1")
    return neuroglancer.Viewer()


@pytest.fixture(scope="module")
def state(slide_05: KnownSlide, client: Any) -> Iterator[Any]:
    """What the link of `histoloom view` holds."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(client.get_viewer_url()))
    with viewing(slide_05.folder.parent, origin) as url:
        link = httpx.get(f"{url}/api/slides/known").json()["links"]["neuroglancer"]
        state = json.loads(unquote(link.partition("#!")[2]))
        assert not any("matrix" in layer["source"]["transform"] for layer in state["layers"]), "the store says where"
        yield state


def look(page: Page, client: Any, state: Any) -> tuple[NDArray[np.uint8], Floats, float]:
    """What the panel shows: (y, x, 3) RGB, and its first corner and the size of its pixels in um."""
    client.set_state(state)
    page.goto(client.get_viewer_url())
    page.wait_for_function(_READY, timeout=120_000)
    page.wait_for_timeout(500)
    page.wait_for_function(_READY, timeout=120_000)
    x, y, width, height = page.evaluate(_PANEL)
    picture = page.screenshot(clip={"x": x, "y": y, "width": width, "height": height})
    um_per_voxel = state["dimensions"]["x"][0] * 1e6
    um_per_px = state["crossSectionScale"] * um_per_voxel
    middle_um = np.array(state["position"][::-1]) * um_per_voxel
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    return pixels, middle_um - np.array([height, width]) / 2 * um_per_px, um_per_px


def closer(state: Any, slide: KnownSlide, level0_px_per_px: float, visible: str) -> Any:
    """The state at a zoom, with one layer alone and nothing drawn over it."""
    um_per_voxel = state["dimensions"]["x"][0] * 1e6
    layers = [{**layer, "visible": layer["name"] == visible} for layer in state["layers"]]
    position = [side / 2 * slide.truth.mpp / um_per_voxel for side in slide.truth.frame.shape[::-1]]
    scale = level0_px_per_px * slide.truth.mpp / um_per_voxel
    return {**state, "layers": layers, "position": position, "crossSectionScale": scale,
            "showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False,
            "crossSectionBackgroundColor": "#ffffff"}  # fmt: skip


@pytest.mark.parametrize("zoom", [1.0, 1.7])
def test_pictures_show_each_nucleus_in_its_place(
    page: Page, client: Any, state: Any, slide_05: KnownSlide, hold: Hold, zoom: float
) -> None:
    pictures = [layer["name"] for layer in state["layers"] if layer["type"] == "image"]
    assert len(pictures) == len(slide_05.image_groups) == 2
    for name in pictures:
        pixels, corner_um, um_per_px = look(page, client, closer(state, slide_05, zoom, name))
        places_um = (nuclei_shown(pixels) + 0.5) * um_per_px + corner_um
        among = slide_05.within(corner_um, corner_um + np.array(pixels.shape[:2]) * um_per_px)
        hold(slide_05, f"Neuroglancer, {name}, {zoom:g} level-0 px a px", places_um / slide_05.truth.mpp, among)
