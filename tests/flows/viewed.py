"""Results served by the real server, and pages of the viewer in a real browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

WIDTH, HEIGHT = 1360, 850

NAME = "tissue"
"""The slide of the fixture `results`: 300 rows of 280 px at 0.5 um."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of `histoloom view` on a folder, without the slash at its end."""
    from flows.view_server import Address, listening
    from pipeline.object_url import parse_place

    with listening(parse_place(str(folder)), Address("127.0.0.1", 0)) as (server, listener, url):
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield url.rstrip("/")
        finally:
            server.should_exit = True
            thread.join(20)


@dataclass
class Viewed:
    """A page, and everything that the browser complained of."""

    page: Page
    base: str
    complaints: list[str]

    def cohort(self) -> None:
        """Open the page of the cohort."""
        self.page.goto(f"{self.base}/")
        self.page.wait_for_selector("table.slides tbody tr")

    def slide(self, name: str, **shown: Any) -> None:
        """Open a slide's page with what its address says, and wait until it is drawn."""
        self.page.goto("about:blank")
        hashed = f"#{urlencode(shown, doseq=True)}" if shown else ""
        self.page.goto(f"{self.base}/slide/{quote(name, safe='')}{hashed}")
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is on its way and two frames look alike."""
        self.page.wait_for_selector('.panes[aria-busy="false"]', timeout=60_000)
        before = b""
        for _ in range(50):
            self.page.wait_for_timeout(150)
            now = self.page.locator(".panes").screenshot()
            if now == before and self.page.locator('.panes[aria-busy="false"]').count():
                return
            before = now
        msg = "the picture does not settle"
        raise AssertionError(msg)

    def pane(self, index: int = 0) -> NDArray[np.uint8]:
        """What a pane shows, (y, x, 3), without what lies over it."""
        for over in self.page.locator(".scalebar, .overview, .divider").all():
            over.evaluate("element => { element.style.visibility = 'hidden' }")
        picture = Image.open(io.BytesIO(self.page.locator(".pane").nth(index).screenshot()))
        return np.asarray(picture.convert("RGB"))

    def assert_quiet(self) -> None:
        """Neither script errors nor breaches of the Content-Security-Policy, nor requests that failed."""
        assert not self.complaints, "\n".join(self.complaints)


@contextmanager
def viewed(browser: Browser, base: str, scheme: str = "light", *, touch: bool = False) -> Iterator[Viewed]:
    """A page of a fresh profile."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        bypass_csp=False,
        has_touch=touch,
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "assert"} and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    def see(response: Response) -> None:
        nothing_there = response.status == 404 and "/at?" in response.url
        if response.status >= 400 and not nothing_there:
            complaints.append(f"{response.status} {response.url}")

    page.on("console", hear)
    page.on("response", see)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield Viewed(page, base, complaints)
    finally:
        context.close()
