"""docs/pictures/report-slide.png and report-cohort.png: the pages as a browser shows them. Run by `make pictures`.

    python docs/make_report_pictures.py [RESULTS [OUT]]

RESULTS is what a run wrote (`make demo`: results); the slide shown is the first by name. Wants the extra `test` and a
Chromium (HISTOLOOM_CHROMIUM names it, else it is looked for on the path).
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

RESULTS = Path(__file__).parents[1] / "results"
PICTURES = Path(__file__).parent / "pictures"
MOST_BYTES = 300 * 1024
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main(results: Path, out: Path) -> None:
    """Take both pictures, or say what is missing."""
    slide = next(iter(sorted(results.glob("*/report.html"))), None)
    program = os.environ.get("HISTOLOOM_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if slide is None or program is None:
        sys.exit(f"{results if slide is None else 'Chromium'}: nothing to take a picture of, or with\n{__doc__}")
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for page, name, height in ((slide, "report-slide", 1360), (results / "report.html", "report-cohort", 1700)):
            tab = browser.new_page(viewport={"width": 1360, "height": height}, color_scheme="light")
            tab.goto(page.absolute().as_uri())
            (out / f"{name}.png").write_bytes(small(tab.screenshot()))
        browser.close()


def small(png: bytes) -> bytes:
    """The picture in 256 colours, as large as fits into MOST_BYTES."""
    with Image.open(io.BytesIO(png)) as whole:
        for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
            size = (round(whole.width * share), round(whole.height * share))
            picture = whole.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
            if buffer.tell() <= MOST_BYTES:
                return buffer.getvalue()
    sys.exit(f"a picture of more than {MOST_BYTES} bytes\nTake a smaller part of the page.")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]]
    main(*given, *(RESULTS, PICTURES)[len(given) :])
