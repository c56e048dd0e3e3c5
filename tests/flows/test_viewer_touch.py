"""Fingers on the picture: one moves it, two zoom it where they are, a tap selects, and the split follows a finger."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from tests.flows.viewed import NAME, Viewed, viewed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ZOOM = 3.0
CENTRE = (140.0, 150.0)


@pytest.fixture
def page(chromium: Browser, viewer_url: str) -> Iterator[Viewed]:
    with viewed(chromium, viewer_url, touch=True) as page:
        yield page
        page.assert_quiet()


def drag(page: Viewed, *paths: Sequence[tuple[float, float]]) -> None:
    """Fingers that go along their paths, all at the same pace."""
    session = page.page.context.new_cdp_session(page.page)

    def send(kind: str, step: int) -> None:
        points = [{"x": path[step][0], "y": path[step][1], "id": number} for number, path in enumerate(paths)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else points})
        page.page.wait_for_timeout(30)

    send("touchStart", 0)
    for step in range(1, len(paths[0])):
        send("touchMove", step)
    send("touchEnd", 0)
    page.page.wait_for_timeout(600)
    page.settle()


def line(begin: tuple[float, float], end: tuple[float, float], steps: int = 12) -> list[tuple[float, float]]:
    shares = [step / steps for step in range(steps + 1)]
    still = [end] * 8  # a finger that rests before it is lifted flicks nothing
    return [(begin[0] + s * (end[0] - begin[0]), begin[1] + s * (end[1] - begin[1])) for s in shares] + still


def middle(page: Viewed) -> tuple[float, float]:
    box = page.page.locator(".pane").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def shown(page: Viewed) -> tuple[float, float, float]:
    """x and y of the middle and the zoom, as the address has them."""
    found = re.search(r"x=([\d.-]+)&y=([\d.-]+)&zoom=([\d.]+)", page.page.url)
    assert found is not None
    return float(found[1]), float(found[2]), float(found[3])


def test_one_finger_moves_the_picture_as_far_as_it_goes(page: Viewed) -> None:
    page.slide(NAME, x=CENTRE[0], y=CENTRE[1], zoom=ZOOM)
    x, y = middle(page)
    drag(page, line((x, y), (x + 90, y - 60)))
    assert shown(page) == pytest.approx((CENTRE[0] - 30, CENTRE[1] + 20, ZOOM), abs=4)


def test_two_fingers_zoom_and_the_tissue_between_them_stays(page: Viewed) -> None:
    page.slide(NAME, x=CENTRE[0], y=CENTRE[1], zoom=ZOOM)
    x, y = middle(page)
    at = (x + 100, y)
    drag(page, line((at[0] - 40, at[1]), (at[0] - 80, at[1])), line((at[0] + 40, at[1]), (at[0] + 80, at[1])))
    now_x, now_y, zoom = shown(page)
    assert zoom == pytest.approx(2 * ZOOM, rel=0.1)
    assert now_x + 100 / zoom == pytest.approx(CENTRE[0] + 100 / ZOOM, abs=2)
    assert now_y == pytest.approx(CENTRE[1], abs=2)
    assert page.page.evaluate("visualViewport.scale") == 1, "the page itself was zoomed"


def test_a_tap_shows_what_lies_there(page: Viewed) -> None:
    page.slide(NAME, x=CENTRE[0], y=CENTRE[1], zoom=ZOOM)
    x, y = middle(page)
    page.page.touchscreen.tap(x, y)
    page.page.get_by_text("Patch, idc-hybrid").first.wait_for()


def test_the_split_follows_a_finger(page: Viewed) -> None:
    page.slide(NAME, x=CENTRE[0], y=CENTRE[1], zoom=ZOOM, mode="split", left="image", right="sr")
    x, y = middle(page)
    box = page.page.locator(".stage").bounding_box()
    assert box is not None
    drag(page, line((x, y), (box["x"] + 0.25 * box["width"], y)))
    assert float(page.page.get_by_role("separator").get_attribute("aria-valuenow") or "nan") == pytest.approx(25, abs=2)
    assert shown(page)[:2] == pytest.approx(CENTRE, abs=0.1), "the picture moved with it"
