"""Slides that are run once a session, and what clients need beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.synthetic import Nuclei
from tests.chromium import open_chromium
from tests.clients.contract import (
    CASES,
    MOST_BIAS_PX,
    MOST_PX,
    Floats,
    Hold,
    KnownSlide,
    compare,
    finish_known_slide,
)
from tests.clients.foreign import Foreign, run_script

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], KnownSlide]:
    """Gives the finished slide of a case; each is run when it is first asked for."""

    @cache
    def finished(case: str) -> KnownSlide:
        return finish_known_slide(tmp_path_factory.mktemp("clients"), CASES[case])

    return finished


@pytest.fixture(params=CASES, scope="session")
def slide(request: pytest.FixtureRequest, known: Callable[[str], KnownSlide]) -> KnownSlide:
    """Each of the slides."""
    return known(request.param)


@pytest.fixture(scope="session")
def slide_05(known: Callable[[str], KnownSlide]) -> KnownSlide:
    """The super-resolved slide in NGFF 0.5."""
    return known("super-resolved")


@pytest.fixture(scope="session")
def measured() -> Iterator[dict[str, dict[str, float]]]:
    """Client and layer to errors in level-0 px; kept where HISTOLOOM_CLIENTS_JSON says."""
    errors: dict[str, dict[str, float]] = {}
    yield errors
    if path := os.environ.get("HISTOLOOM_CLIENTS_JSON"):
        known = json.loads(Path(path).read_text()) if Path(path).exists() else {}
        Path(path).write_text(json.dumps(known | errors, indent=1, sort_keys=True))


@pytest.fixture
def hold(measured: dict[str, dict[str, float]]) -> Hold:
    """Holds a client to the contract: `hold(slide, "napari, sr", shown_level0_px)`."""

    def within(slide: KnownSlide, what: str, shown_level0_px: Floats, among: Nuclei | None = None) -> None:
        shown = compare(slide, shown_level0_px, among)
        before = measured.get(what, {})
        measured[what] = {key: round(max(value, before.get(key, 0.0)), 3) for key, value in asdict(shown).items()}
        assert shown.worst_px < MOST_PX, f"{what}: a nucleus is {shown.worst_px:.2f} level-0 px from its place"
        assert shown.bias_px < MOST_BIAS_PX, f"{what}: nuclei are {shown.bias_px:.2f} level-0 px off, on average"

    return within


@pytest.fixture(scope="session")
def foreign() -> Foreign:
    """Runs scripts in environments of their own, which are made when they are first asked for."""
    return run_script


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium that draws WebGL on the CPU."""
    with open_chromium("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader") as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A window of 1,000 x 800 px; what went wrong in it fails the test."""
    page = chromium.new_page(viewport={"width": 1000, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors
