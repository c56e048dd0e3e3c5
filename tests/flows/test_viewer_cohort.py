"""The cohort page: found, sorted, filtered, renewed; and names that would be markup stay names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.flows.viewed import Viewed, serving, viewed
from tests.pipeline.finished_slide import Parts, make_slide

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "<img src=x onerror=alert(1)> & 'slide' #%2e"
CLASSES = ("<script>alert(2)</script>", '"onload=alert(3)," %3C&amp;')


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    make_slide(tmp_path, "case 10")
    make_slide(tmp_path, "case 2", parts=Parts(nuclei=((60.0, 80.0),), sr=False))
    make_slide(tmp_path, HOSTILE, parts=Parts(classes=CLASSES))
    return tmp_path


@pytest.fixture
def page(chromium: Browser, cohort: Path) -> Iterator[Viewed]:
    with serving(cohort) as url, viewed(chromium, url) as page:
        page.page.on("dialog", lambda dialog: page.complaints.append(f"a script ran: {dialog.message}"))
        yield page
        page.assert_quiet()


def names(page: Viewed) -> list[str]:
    return [text.split("\n")[0] for text in page.page.locator("table.slides tbody th").all_inner_texts()]


def test_slides_are_sorted_searched_and_filtered(page: Viewed) -> None:
    page.cohort()
    assert names(page) == [HOSTILE, "case 2", "case 10"]
    heading = page.page.get_by_role("button", name="Nuclei", exact=True)
    heading.click()
    assert names(page)[-1] == "case 2"
    assert page.page.locator("th[aria-sort=descending]").inner_text().startswith("Nuclei")
    heading.click()
    assert names(page)[0] == "case 2"
    page.page.get_by_label("Search").fill("case 1")
    assert names(page) == ["case 10"]
    assert page.page.locator("#count").inner_text() == "1 of 3 slides"
    page.page.get_by_label("Search").fill("")
    page.page.get_by_label("Status").select_option("failed")
    assert names(page) == []


def test_a_slide_that_comes_appears_without_a_reload(page: Viewed, cohort: Path) -> None:
    page.cohort()
    page.page.get_by_role("link", name="case 10", exact=True).focus()
    shutil.copytree(cohort / "case 2", cohort / "case 3")
    (cohort / "case 3" / "case 2.ome.zarr").rename(cohort / "case 3" / "case 3.ome.zarr")
    page.page.get_by_role("link", name="case 3", exact=True).wait_for(timeout=30_000)
    assert page.page.evaluate("document.activeElement.textContent") == "case 10", "the focus was lost"


def test_names_that_would_be_markup_stay_names(page: Viewed) -> None:
    page.cohort()
    page.page.get_by_role("link", name=HOSTILE, exact=True).click()
    page.page.wait_for_selector(".panes")
    page.settle()
    assert page.page.locator("h1").inner_text() == HOSTILE
    for label in CLASSES:
        page.page.get_by_label(f"idc-hybrid: {label}", exact=True).check()
    page.page.wait_for_timeout(300)
    page.settle()
    address = page.page.url
    page.page.goto("about:blank")
    page.page.goto(address)
    page.settle()
    for label in CLASSES:
        assert page.page.get_by_label(f"idc-hybrid: {label}", exact=True).is_checked()
    page.page.locator(".pane .openseadragon-canvas").click(position={"x": 300, "y": 300})
    page.page.wait_for_timeout(500)
    assert page.page.locator("main img[src=x], main script").count() == 0


def test_warnings_of_a_run_are_words_on_the_slides_page(page: Viewed, cohort: Path) -> None:
    run = cohort / "case 10" / "run.json"
    content = json.loads(run.read_text(encoding="utf-8"))
    content["warnings"] = ["<b>detail</b> below 0.5 um is estimated"]
    run.write_text(json.dumps(content), encoding="utf-8")
    page.slide("case 10")
    assert "<b>detail</b> below 0.5 um is estimated" in page.page.get_by_label("To keep in mind").inner_text()
