"""How many frames a second the viewer shows while it is panned, and how soon the first picture is there.

    python -m tests.benchmarks.bench_viewer_pan RESULTS SLIDE [--nuclei] [--zoom 1]

In headless Chromium, 1,360 x 850 px, with the server in the same process: on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chromium import open_chromium
from tests.flows.viewed import Viewed, serving, viewed

_COUNT_FRAMES = """() => {
  window.frames_seen = [];
  const seen = (now) => { window.frames_seen.push(now); window.frames_wanted = requestAnimationFrame(seen); };
  requestAnimationFrame(seen);
}"""
_STOP = "() => { cancelAnimationFrame(window.frames_wanted); return window.frames_seen; }"
_LAST_TILE = """() => Math.max(...performance.getEntriesByType("resource")
  .filter((entry) => entry.name.includes("/tiles/image/")).map((entry) => entry.responseEnd)) / 1000"""


def first_picture(page: Viewed, slide: str) -> tuple[float, float]:
    """Seconds from the address to the last tile of the picture, and to all that the first view shows."""
    begun = time.perf_counter()
    page.page.goto(f"{page.base}/slide/{slide}")
    page.page.wait_for_selector('.panes[aria-busy="false"]')
    return page.page.evaluate(_LAST_TILE), time.perf_counter() - begun


def pan(page: Viewed, seconds: float) -> list[float]:
    """Milliseconds between the frames while the picture is dragged to and fro."""
    box = page.page.locator(".pane").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.evaluate(_COUNT_FRAMES)
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for right, down in ((-300, -150), (300, 150)):
            page.page.mouse.move(*middle)
            page.page.mouse.down()
            page.page.mouse.move(middle[0] + right, middle[1] + down, steps=20)
            page.page.mouse.up()
    frames = page.page.evaluate(_STOP)
    return [after - before for before, after in pairwise(frames)]


def measure(results: Path, slide: str, nuclei: bool, zoom: float) -> dict[str, Any]:
    """Frames a second, median and slowest twentieth, and seconds to the first picture."""
    with serving(results) as url, open_chromium() as browser, viewed(browser, url) as page:
        picture, everything = first_picture(page, slide)
        page.slide(slide, zoom=zoom, nuclei="1,0,class" if nuclei else "off")
        gaps = sorted(pan(page, 10.0))
    return {
        "slide": slide, "zoom": zoom, "nuclei": nuclei, "first_picture_s": round(picture, 3),
        "first_view_s": round(everything, 3), "frames": len(gaps),
        "frames_per_s": round(1000 * len(gaps) / sum(gaps), 1), "median_ms": round(gaps[len(gaps) // 2], 1),
        "p95_ms": round(gaps[int(len(gaps) * 0.95)], 1),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("slide")
    parser.add_argument("--nuclei", action="store_true")
    parser.add_argument("--zoom", type=float, default=1.0)
    given = parser.parse_args()
    print(json.dumps(measure(given.results, given.slide, given.nuclei, given.zoom), indent=1))
