"""Signing in to a viewer that asks for a token, as a person does: the printed address, then links and reloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from flows.view_server import Address
from tests.flows.viewed import Viewed, viewed
from tests.flows.viewing import Viewer, serving
from tests.pipeline.finished_slide import make_slide

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("locked")
    make_slide(folder, "slide")
    with serving(folder, Address(port=0, token=True)) as viewer:
        yield viewer


@pytest.fixture
def page(chromium: Browser, locked: Viewer) -> Iterator[Viewed]:
    with viewed(chromium, f"http://127.0.0.1:{locked.port}") as page:
        yield page


def test_the_printed_address_signs_in_for_every_page_and_its_tiles(page: Viewed, locked: Viewer) -> None:
    page.page.goto(locked.url)
    page.page.get_by_role("link", name="slide", exact=True).click()
    page.settle()
    page.page.reload()
    page.settle()
    assert page.pane().std() > 1, "a picture is seen"
    page.cohort()
    assert page.page.evaluate("document.cookie") == "", "scripts cannot read the token"
    page.assert_quiet()


def test_the_token_does_not_stay_in_the_address_bar(page: Viewed, locked: Viewer) -> None:
    page.page.goto(locked.url)
    page.page.wait_for_selector("table.slides tbody tr")
    assert locked.token not in page.page.url
    page.page.reload()
    page.page.wait_for_selector("table.slides tbody tr")
    page.assert_quiet()


def test_who_has_no_token_is_told_in_words_what_to_open(page: Viewed) -> None:
    page.page.goto(f"{page.base}/slide/slide")
    told = page.page.locator("body").inner_text()
    assert told.splitlines()[0] == "this viewer asks for a token"
    assert "?token=" in told
    assert "{" not in told
