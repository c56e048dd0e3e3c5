"""The slide page: found by mouse and by keys, kept in its address, told to those who cannot see it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.flows.viewed import NAME, Viewed


@pytest.fixture(scope="module")
def nucleus(results: Path) -> tuple[int, dict[str, Any]]:
    """The row, from 1, and the columns of a nucleus well inside the slide."""
    rows = pq.read_table(results / NAME / "nuclei.parquet").drop_columns(["geometry", "bbox"]).to_pylist()
    for number, row in enumerate(rows, start=1):
        x, y = row["centroid_x_level0_px"], row["centroid_y_level0_px"]
        if 60 < x < 220 and 60 < y < 240 and row["circularity"] > 0.6:
            return number, row
    pytest.fail("no nucleus well inside the slide")


def centred(row: dict[str, Any]) -> dict[str, Any]:
    return {"x": round(row["centroid_x_level0_px"], 2), "y": round(row["centroid_y_level0_px"], 2), "zoom": 4}


def test_a_click_shows_the_row_of_the_nucleus(viewer: Viewed, nucleus: tuple[int, dict[str, Any]]) -> None:
    number, row = nucleus
    viewer.slide(NAME, **centred(row))
    viewer.page.locator(".pane .openseadragon-canvas").click()
    found = viewer.page.locator(".found table").first
    found.wait_for()
    assert f"row {number}" in found.inner_text()
    assert f"{row['area_um2']:.3g}" in found.inner_text()
    viewer.page.wait_for_url(re.compile(f"row={number}(&|$)"))
    assert "Patch, idc-hybrid" in viewer.page.locator(".found").inner_text()


def test_a_click_beside_says_so(viewer: Viewed) -> None:
    viewer.slide(NAME, x=-40, y=-40, zoom=4)
    viewer.page.locator(".pane .openseadragon-canvas").click()
    viewer.page.get_by_text("Neither nucleus nor patch at this point.").first.wait_for()


def test_the_pointer_is_told_in_um_and_level_0_px(viewer: Viewed) -> None:
    viewer.slide(NAME, x=140, y=150, zoom=4)
    box = viewer.page.locator(".pane").bounding_box()
    assert box is not None
    viewer.page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 - 80)
    told = viewer.page.locator(".place").inner_text()
    assert "level-0 px 150.0, 130.0" in told
    um = [float(value) for value in re.findall(r"([\d.]+) µm", told)]
    mpp = viewer.page.evaluate(f"fetch('/api/slides/{NAME}').then(a => a.json()).then(s => s.mpp_level0)")
    assert um == pytest.approx([150 * mpp, 130 * mpp], abs=0.06)


def test_the_scale_bar_is_as_long_as_it_says(viewer: Viewed) -> None:
    viewer.slide(NAME, x=140, y=150, zoom=3.3)
    mpp = viewer.page.evaluate(f"fetch('/api/slides/{NAME}').then(a => a.json()).then(s => s.mpp_level0)")
    bar = viewer.page.locator(".scalebar .bar").bounding_box()
    said = float(viewer.page.locator(".scalebar").get_attribute("data-um") or "nan")
    assert bar is not None
    assert bar["width"] * mpp / 3.3 == pytest.approx(said, rel=0.02)


SHOWN = {
    "x": 120.5, "y": 99, "zoom": 2.75, "mode": "split", "left": "sr", "right": "image", "divider": 33.5,
    "pixels": "squares", "layer": ["0.3,0,viridis,tissue", "0.5,0.25,magma,consistency"],
    "nuclei": "0.8,0.4,probability",
}  # fmt: skip


def test_a_permalink_leads_back_to_the_same_picture(viewer: Viewed) -> None:
    viewer.slide(NAME, **SHOWN)
    viewer.page.wait_for_timeout(400)
    address, picture = viewer.page.url, viewer.pane()
    for part in ("x=120.5", "zoom=2.75", "mode=split", "divider=33.5", "consistency", "tissue", "0.4%2Cprobability"):
        assert part in address
    viewer.page.goto("about:blank")
    viewer.page.goto(address)
    viewer.settle()
    viewer.page.wait_for_timeout(400)
    assert viewer.page.url == address
    assert (viewer.pane() == picture).all()


def test_what_controls_change_stands_in_the_address(viewer: Viewed) -> None:
    viewer.slide(NAME)
    page = viewer.page
    page.get_by_label("Tissue", exact=True).check()
    page.get_by_label("Opacity: Tissue").fill("0.8")
    page.get_by_role("radio", name="Split").check()
    page.get_by_label("Colour by: nuclei").select_option("probability")
    page.wait_for_url(re.compile(r"mode=split.*layer=0\.8%2C0%2C\w+%2Ctissue.*probability"))
    page.get_by_label("Nuclei (", exact=False).uncheck()
    page.wait_for_url(re.compile("nuclei=off"))
    viewer.settle()


FOCUS = """() => {
  const element = document.activeElement;
  return (element.getAttribute('role') || element.type || element.tagName) + ' ' + element.textContent.slice(0, 30);
}"""


def walk_to_the_picture(viewer: Viewed) -> None:
    """From the top of the page by keys alone."""
    page = viewer.page
    page.keyboard.press("Tab")
    assert "Skip to the main part" in page.evaluate(FOCUS)
    page.keyboard.press("Enter")
    order: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        order.append(page.evaluate(FOCUS))
        if order[-1].startswith("application"):
            return
    raise AssertionError(order)


def told_place(viewer: Viewed) -> tuple[float, float]:
    found = re.search(r"px ([\d.-]+), ([\d.-]+)", viewer.page.locator(".place").inner_text())
    assert found is not None
    return float(found[1]), float(found[2])


def test_keys_find_a_nucleus_and_forget_it(viewer: Viewed, nucleus: tuple[int, dict[str, Any]]) -> None:
    number, row = nucleus
    viewer.slide(NAME, **centred(row))
    walk_to_the_picture(viewer)
    viewer.page.keyboard.press("Enter")
    viewer.page.locator(".found table").first.wait_for()
    assert f"row {number}" in viewer.page.locator(".found").inner_text()
    assert f"row {number}" in viewer.page.locator("#spoken").inner_text()
    viewer.page.keyboard.press("Escape")
    viewer.page.get_by_text("Click on a nucleus or a patch.").wait_for()


def test_keys_move_zoom_and_open_the_help(viewer: Viewed) -> None:
    viewer.slide(NAME, x=140, y=150, zoom=4)
    walk_to_the_picture(viewer)
    page = viewer.page
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.wait_for_timeout(1200)
    x, y = told_place(viewer)
    assert x > 150
    assert y == pytest.approx(150, abs=0.2)
    page.keyboard.press("n")
    page.wait_for_url(re.compile("nuclei=off"))
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_keys_move_the_split(viewer: Viewed) -> None:
    viewer.slide(NAME, x=140, y=150, zoom=4)
    walk_to_the_picture(viewer)
    viewer.page.keyboard.press("m")
    viewer.page.keyboard.press("Tab")
    divider = viewer.page.get_by_role("separator")
    assert divider.evaluate("element => element === document.activeElement")
    for keys, place in ((("ArrowLeft", "PageUp"), "59"), (("Home",), "0"), (("End", "Shift+ArrowLeft"), "90")):
        for key in keys:
            viewer.page.keyboard.press(key)
        assert divider.get_attribute("aria-valuenow") == place


def test_of_two_panes_each_leads_the_other(viewer: Viewed) -> None:
    viewer.slide(NAME, x=140, y=150, zoom=3, mode="two", left="image", right="sr")
    for index in (1, 0):
        box = viewer.page.locator(".pane").nth(index).bounding_box()
        assert box is not None
        x, y = box["x"] + 200, box["y"] + 200
        viewer.page.mouse.move(x, y)
        viewer.page.mouse.down()
        viewer.page.mouse.move(x + 60, y + 30, steps=6)
        viewer.page.mouse.up()
        viewer.page.wait_for_timeout(1500)
        viewer.settle()
    assert abs(viewer.pane(0).astype(int) - viewer.pane(1)).mean() < 20
    place = re.search(r"x=([\d.-]+)&y=([\d.-]+)&zoom=([\d.]+)", viewer.page.url)
    assert place is not None
    assert float(place[3]) == pytest.approx(3)
    assert float(place[1]) < 130


def test_no_slide_of_that_name_is_said_in_words(viewer: Viewed) -> None:
    viewer.page.goto(f"{viewer.base}/slide/nothing-of-that-name")
    viewer.page.get_by_role("alert").wait_for()
    viewer.page.get_by_role("link", name="All slides").click()
    viewer.page.wait_for_selector("table.slides")
    viewer.complaints[:] = [text for text in viewer.complaints if "nothing-of-that-name" not in text]


def test_tiles_that_do_not_come_are_said_to_be_missing(viewer: Viewed) -> None:
    """What is not drawn could be taken for what is not there."""
    for url in ("**/nuclei?*", "**/tiles/**"):
        viewer.page.route(url, lambda route: route.abort())
    viewer.page.goto(f"{viewer.base}/slide/{NAME}#x=140&y=150&zoom=4")
    viewer.page.get_by_role("alert").get_by_text("did not come").wait_for(timeout=20_000)
    for url in ("**/nuclei?*", "**/tiles/**"):
        viewer.page.unroute(url)
    viewer.page.get_by_role("alert").get_by_role("button", name="Reload").click()
    viewer.settle()
    assert not viewer.page.get_by_role("alert").is_visible()
    viewer.complaints[:] = [text for text in viewer.complaints if "failed to load" not in text]


def test_pixels_turned_on_and_off_in_haste_leave_no_picture_behind(viewer: Viewed) -> None:
    viewer.slide(NAME, x=140, y=150, zoom=4, left="sr", nuclei="off")
    wanted = viewer.pane()
    viewer.slide(NAME, x=140, y=150, zoom=4, left="image", nuclei="off")
    walk_to_the_picture(viewer)
    for _ in range(4):
        viewer.page.keyboard.press("p")
    viewer.settle()
    viewer.page.locator(".toolbar select").first.select_option("sr")
    viewer.page.locator("h1").click()
    viewer.settle()
    assert abs(viewer.pane().astype(int) - wanted).mean() < 0.5
