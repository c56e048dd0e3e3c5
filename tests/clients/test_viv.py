"""Viv, by its own loader and layer, in headless Chromium; the page is viv/viewer.js."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from tests.clients.contract import Hold, KnownSlide, nuclei_shown
from tests.clients.foreign import BUILD
from tests.clients.server import pages, viewing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.clients

SOURCES = Path(__file__).parent / "viv"


def bundled() -> Path:
    """The folder of the page, made anew where its sources changed."""
    folder = BUILD / "viv"
    made = folder / "www" / "viewer.js"
    sources = [path.read_bytes() for path in sorted(SOURCES.iterdir())]
    stamp = folder / "www" / "sources"
    if not stamp.exists() or stamp.read_bytes() != b"".join(sources):
        shutil.rmtree(folder / "www", ignore_errors=True)
        shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
        bundle = ["node_modules/.bin/esbuild", "viewer.js", "--bundle", "--format=esm", "--target=es2022"]
        subprocess.run([*bundle, f"--outfile={made}", "--log-level=warning"], cwd=folder, check=True)
        shutil.copy(folder / "index.html", made.parent)
        stamp.write_bytes(b"".join(sources))
    return made.parent


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the page lies."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here: apt install npm")
    with pages(bundled()) as origin:
        yield origin


@pytest.mark.parametrize("case", ["super-resolved", "super-resolved, NGFF 0.4"])
@pytest.mark.parametrize("level0_px_per_px", [1.0, 1.7])
def test_viv_shows_each_nucleus_in_its_place(
    page: Page, origin: str, known: Any, case: str, hold: Hold, level0_px_per_px: float
) -> None:
    slide: KnownSlide = known(case)
    truth = slide.truth
    with viewing(slide.folder.parent, origin) as url:
        for group, frame in slide.image_groups.items():
            # Viv counts pixels of the finest level from the image's corner, as level-0 px are counted.
            px_per_level0 = truth.mpp / frame.mpp
            middle = np.array(truth.frame.shape) / 2
            asked = {
                "source": f"{url}/files/known/known.ome.zarr/{group}".rstrip("/"),
                "zoom": -math.log2(level0_px_per_px * px_per_level0),
                "y": middle[0] * px_per_level0,
                "x": middle[1] * px_per_level0,
            }
            page.goto(f"{origin}/index.html?{urlencode(asked)}")
            page.wait_for_function("() => window.seen && window.seen.ready()", timeout=60_000)
            page.wait_for_timeout(1000)
            seen = page.evaluate("() => ({ shapes: window.seen.shapes, transforms: window.seen.transforms })")
            assert seen["shapes"][0] == [3, *frame.shape]
            assert seen["transforms"][0]["scale"][1:] == [frame.mpp, frame.mpp]
            pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
            size = np.array(pixels.shape[:2]) * level0_px_per_px
            corner = middle - size / 2
            places = (nuclei_shown(pixels) + 0.5) * level0_px_per_px + corner
            among = slide.within(corner * truth.mpp, (corner + size) * truth.mpp)
            what = f"Viv, {group or 'root'}, NGFF {slide.case.ngff}, {level0_px_per_px:g} level-0 px a px"
            hold(slide, what, places, among)
