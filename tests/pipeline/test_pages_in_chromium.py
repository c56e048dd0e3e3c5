"""Both pages as a browser shows them: nothing of a file's words runs, nothing is fetched, everybody can read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from pipeline.cohort import write_cohort
from pipeline.density import DENSITY
from pipeline.preview import write_preview
from pipeline.report import write_slide_report
from tests.chromium import open_chromium
from tests.pipeline.finished_slide import Parts, add_map, make_slide, read_run
from tests.pipeline.test_cohort import fail
from tests.pipeline.test_cohort_page import slide_run
from tests.pipeline.test_report import changed, leaves
from tests.pipeline.test_report_qc import QC, add_flags

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

ATTACK = (
    "</style></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"document.title='owned'\">{{7*7}}'\"&"
)
Theme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide with everything on it, eleven that are rows alone, one that failed."""
    root = tmp_path_factory.mktemp("results")
    folder = make_slide(root, "slide-7")
    add_flags(folder)
    add_map(folder, DENSITY, (3000.0,), ("nuclei per mm2",))
    run = read_run(folder) | {"qc": QC, "networks": [{"name": "nuclei-unet", "licence": "CC BY-NC", "limits": "few"}]}
    (folder / "run.json").write_text(json.dumps(run))
    write_preview(folder, run)
    write_slide_report(folder, run)
    for index in range(11):
        run = slide_run(index)
        run["counts"]["nuclei"] *= 30 if index == 4 else 1
        (root / f"row-{index}").mkdir()
        (root / f"row-{index}" / "run.json").write_text(json.dumps(run))
    fail(root, "broken")
    write_cohort(root)
    return root


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of which every word that comes from a file is an attack."""
    root = tmp_path_factory.mktemp("attacked")
    name = ATTACK.replace("/", "|")
    folder = make_slide(root, name, parts=Parts(classes=(name, name + "2", name + "3")))
    add_flags(folder)
    run = read_run(folder) | {"qc": QC, "networks": [{"name": "n", "licence": "l", "limits": "m", "task": "t"}]}
    for path in leaves(run):
        value: object = run
        for key in path:
            value = value[key]  # type: ignore[index]
        if isinstance(value, str):
            run = changed(run, path, ATTACK)
    run["versions"] = run["devices"] = run["plan"]["settings"] = run["plan"]["bundles"] = {ATTACK: ATTACK}
    run["counts"]["patches"] = {ATTACK: 4}
    run["warnings"] = [ATTACK]
    (folder / "run.json").write_text(json.dumps(run))
    write_preview(folder, run)
    write_slide_report(folder, run)
    fail(root, name + "f", json.dumps(dict.fromkeys(("path", "error", "what", "cure"), ATTACK)))
    write_cohort(root)
    return root


@contextmanager
def opened(browser: Browser, path: Path, theme: Theme = "light", *, scripts: bool = True) -> Iterator[Tab]:
    """A page from disk; fails where it asked for anything else, or anything went wrong in it."""
    context = browser.new_context(
        color_scheme=theme, java_script_enabled=scripts, viewport={"width": 1280, "height": 900}
    )
    tab = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    try:
        tab.goto(path.as_uri())
        yield tab
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
        assert wrong == []
    finally:
        context.close()


@pytest.mark.parametrize("kind", ["slide", "cohort"])
def test_no_word_of_a_file_runs_or_is_markup(browser: Browser, attacked: Path, kind: str) -> None:
    folder = attacked / ATTACK.replace("/", "|")
    with opened(browser, (folder if kind == "slide" else attacked) / "report.html") as tab:
        assert tab.title() != "owned"
        assert tab.locator("script").count() == (1 if kind == "cohort" else 0)
        assert tab.locator("[onerror], [onload], img[src=x]").count() == 0
        assert "{{7*7}}" in tab.locator("body").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["slide", "cohort"])
def test_axe_finds_nothing_wrong(browser: Browser, results: Path, kind: str, theme: Theme) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path = results / "report.html" if kind == "cohort" else results / "slide-7" / "report.html"
    with opened(browser, path, theme) as tab:
        # The page's own policy runs no script but its own, and so not axe: it is put in past the policy.
        found = axe.Axe().run(tab).response["violations"]
        assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found] == []


def names(tab: Tab) -> list[str]:
    """The slides that the table shows, from top to bottom."""
    return tab.locator("#slides tbody tr:visible th").all_inner_texts()


def test_the_table_sorts_by_exact_value_and_says_so(browser: Browser, results: Path) -> None:
    with opened(browser, results / "report.html") as tab:
        assert names(tab)[0] == "broken"
        head = tab.locator("#slides thead th", has_text="nuclei per mm²")
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        values = [float(tab.locator(f"tr:has(th:text-is('{name}')) td[data-v]").nth(3).get_attribute("data-v") or "inf")
                  for name in names(tab)]  # fmt: skip
        assert values == sorted(values)
        assert names(tab)[-1] == "broken"  # what has no value comes last
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert names(tab)[0] == "row-4"
        assert names(tab)[-1] == "broken"
        tab.locator("#slides thead th", has_text="slide").get_by_role("button").click()
        assert names(tab) == ["broken", *(f"row-{index}" for index in range(11)), "slide-7"]
        assert tab.locator("#slides thead [aria-sort]").count() == 1


def test_the_table_is_narrowed_down_by_words_and_by_kind(browser: Browser, results: Path) -> None:
    with opened(browser, results / "report.html") as tab:
        tab.get_by_label("Search").fill("ROW- blur")
        assert sorted(names(tab)) == sorted(f"row-{index}" for index in range(11) if index % 3)
        assert tab.get_by_role("status").inner_text() == "7 of 13 slides shown"
        tab.get_by_label("Search").fill("")
        tab.get_by_label("Show").select_option("failed")
        assert names(tab) == ["broken"]
        tab.get_by_label("Show").select_option("estimated")
        assert names(tab) == ["slide-7"]


def test_without_scripts_the_whole_table_stands_and_no_dead_control(browser: Browser, results: Path) -> None:
    with opened(browser, results / "report.html", scripts=False) as tab:
        assert tab.locator("#slides tbody tr").count() == 13
        assert not tab.locator("#tools").is_visible()
        assert tab.locator("thead button").count() == 0


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("kind", ["slide", "cohort"])
def test_pages_fit_narrow_and_wide_windows(browser: Browser, results: Path, kind: str, width: int) -> None:
    path = results / "report.html" if kind == "cohort" else results / "slide-7" / "report.html"
    with opened(browser, path) as tab:
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_all_parts_are_open_and_black_on_white(browser: Browser, results: Path) -> None:
    with opened(browser, results / "slide-7" / "report.html", "dark") as tab:
        tab.emulate_media(media="print", color_scheme="dark")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert not tab.locator("nav").is_visible()
        closed = tab.locator("details.part:not([open])")
        assert closed.count()
        assert all(table.bounding_box() for table in closed.locator("table").all())
        assert tab.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bars_can_be_told_from_the_paper_in_every_theme(browser: Browser, results: Path, theme: Theme) -> None:
    with opened(browser, results / "slide-7" / "report.html", theme) as tab:
        bar = tab.locator("svg.plot path[style*='--bar']").first
        fill = bar.evaluate("element => getComputedStyle(element).fill")
        assert fill == {"light": "rgb(74, 111, 216)", "dark": "rgb(123, 155, 240)"}[theme]
        text = tab.locator("svg.plot text").first.evaluate("element => getComputedStyle(element).fill")
        assert text not in ("rgb(0, 0, 0)", fill)
