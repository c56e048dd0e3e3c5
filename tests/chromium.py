"""The one owner of the browser: a real headless Chromium, driven by Playwright.

While Playwright's sync interface is open its event loop counts as running in the thread, and `asyncio.run` of any other
test fails there. It is therefore opened for a test module and closed after it, and once at a time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_open: list[Browser] = []


def find_chromium() -> str:
    """HISTOLOOM_CHROMIUM, else what the path has; the test is skipped when told so, and fails where there is none."""
    if os.environ.get("HISTOLOOM_NO_BROWSER") == "1":
        pytest.skip("HISTOLOOM_NO_BROWSER=1: nothing is tried in a browser")
    told = os.environ.get("HISTOLOOM_CHROMIUM")
    found = told or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail("no Chromium: install it, name it by HISTOLOOM_CHROMIUM, or set HISTOLOOM_NO_BROWSER=1")
    return found


@contextmanager
def open_chromium(*arguments: str) -> Iterator[Browser]:
    """A browser; inside another such block the one that is open, whatever the arguments."""
    if _open:
        yield _open[0]
        return
    program = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers have no user namespaces for the sandbox and little /dev/shm; pages are our own.
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", *arguments]
        )
        _open.append(browser)
        try:
            yield browser
        finally:
            _open.clear()
            browser.close()
