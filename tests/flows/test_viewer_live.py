"""The slide page while a run goes on: what is written meanwhile appears, and the reader's place is kept."""

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

NAME = "grows"
RENEWED_MS = 25_000
"""The page looks every ten seconds."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A slide that was read and no more."""
    partial = make_slide(tmp_path / ".partial", NAME, parts=Parts(sr=False, nuclei=None, heat=False))
    (partial / "run.json").rename(partial / "begun.json")
    (partial / "plan.json").write_text("{}")
    (partial / "stages.json").write_text(json.dumps({"ingest": {"batches": 1, "seconds": 1.0}}))
    return tmp_path


@pytest.fixture
def page(chromium: Browser, folder: Path) -> Iterator[Viewed]:
    with serving(folder) as url, viewed(chromium, url) as page:
        yield page
        page.assert_quiet()


def finish(folder: Path) -> None:
    """What a run writes beside the picture, and then the whole results' own place, in one step."""
    made = make_slide(folder / "elsewhere", NAME)
    made.rename(folder / NAME)
    shutil.rmtree(folder / ".partial" / NAME)
    shutil.rmtree(folder / "elsewhere")


def test_layers_that_are_written_meanwhile_can_be_shown_without_a_reload(page: Viewed, folder: Path) -> None:
    page.slide(NAME, x=70, y=80, zoom=4)
    tab = page.page
    assert tab.locator("header .badge").inner_text() == "unfinished"
    assert tab.get_by_role("radio", name="Split").count() == 0
    tab.get_by_label("Tissue", exact=True).check()
    finish(folder)
    tab.get_by_label("idc-hybrid: IDC", exact=True).wait_for(timeout=RENEWED_MS)
    assert tab.get_by_label("Tissue", exact=True).is_checked()
    assert tab.locator("header .badge").count() == 0, "the run is over"
    assert tab.get_by_role("link", name="nuclei.parquet").count() == 1
    tab.get_by_label("idc-hybrid: IDC", exact=True).check()
    tab.get_by_role("radio", name="Split").check()
    page.settle()
    place = tab.evaluate("location.hash")
    assert "x=70&y=80" in place
    assert "mode=split" in place


def test_nuclei_that_are_written_meanwhile_are_found_by_a_click(page: Viewed, folder: Path) -> None:
    page.slide(NAME, x=80, y=60, zoom=4)
    tab = page.page
    finish(folder)
    tab.get_by_label("Nuclei (3)").wait_for(timeout=RENEWED_MS)
    tab.locator(".pane .openseadragon-canvas").click()
    tab.get_by_text("Nucleus, row").first.wait_for()


def test_a_look_that_finds_nothing_new_leaves_controls_alone(page: Viewed) -> None:
    page.slide(NAME)
    tab = page.page
    tab.get_by_label("Tissue", exact=True).check()
    slider = tab.get_by_label("Opacity: Tissue")
    slider.focus()
    with tab.expect_response(lambda answer: answer.url.endswith(f"/api/slides/{NAME}"), timeout=RENEWED_MS):
        pass
    tab.wait_for_timeout(500)
    assert slider.evaluate("element => element === document.activeElement"), "the focus was lost"
