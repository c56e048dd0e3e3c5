"""The pictures of the viewer in docs/pictures, from results of a real run, in a real browser.

    python docs/make_viewer_pictures.py [RESULTS SLIDE]

RESULTS is a folder that `histoloom run` wrote, SLIDE one of its slides; by default that of
`make demo`. Run by `make pictures`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.chromium import open_chromium  # noqa: E402 - the repository's own, as tests use it
from tests.flows.viewed import Viewed, serving, viewed  # noqa: E402

MOST_BYTES = 300 * 1024
PLACE = {"x": 930, "y": 1250, "zoom": 1.25, "left": "image"}


def save(page: Viewed, name: str) -> None:
    """A screenshot of the page, of as many colours as fit into 300 KiB."""
    picture = Image.open(io.BytesIO(page.page.screenshot())).convert("RGB")
    for colours in (256, 192, 128, 96, 64, 48, 32):
        buffer = io.BytesIO()
        picture.quantize(colours, method=Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            (ROOT / "docs" / "pictures" / f"viewer-{name}.png").write_bytes(buffer.getvalue())
            print(f"viewer-{name}.png: {buffer.tell() // 1024} KiB, {colours} colours")
            return
    msg = f"viewer-{name}: larger than {MOST_BYTES} bytes with 32 colours"
    raise SystemExit(msg)


def main(results: Path, slide: str) -> None:
    """Cohort, slide with nuclei, split."""
    with serving(results) as url, open_chromium() as browser, viewed(browser, url) as page:
        page.page.set_viewport_size({"width": 1200, "height": 720})
        page.cohort()
        page.page.wait_for_timeout(1000)
        save(page, "cohort")
        page.slide(slide, **PLACE, nuclei="1,0,class", layer="0.35,0.4,magma,heatmap:idc-hybrid:IDC")
        save(page, "slide")
        page.slide(
            slide, **PLACE | {"x": 985, "y": 1190, "zoom": 4.5}, mode="split", right="sr", divider=50, nuclei="off"
        )
        page.page.wait_for_timeout(500)
        save(page, "split")


if __name__ == "__main__":
    given = sys.argv[1:3] or [ROOT / "results", "CMU-1-Small-Region"]
    main(Path(given[0]), str(given[1]))
