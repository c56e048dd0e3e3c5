"""The site: built without a warning, complete, and from nowhere but itself."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.site.command_line import commands
from docs.site.errors import error_classes
from tests.chromium import open_chromium
from tests.docs.pages import DOCS, ROOT

MKDOCS = (sys.executable, "-m", "mkdocs")


class Page(HTMLParser):
    """What a page of the site loads, links to, and can be linked to by."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "link":
            self.loads.add(given.get("href", ""))
        elif "src" in given:
            self.loads.add(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site") / "built"
    done = subprocess.run(
        [*MKDOCS, "build", "--strict", "--quiet", "-f", DOCS / "site" / "mkdocs.yml", "-d", folder],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def elsewhere(addresses: set[str]) -> Iterator[str]:
    return (one for one in addresses if urlsplit(one).scheme not in ("", "data") or one.startswith("//"))


def test_every_page_is_there(pages: dict[Path, Page], site: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {path.relative_to(site) for path in pages} == sources


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    assert [(path.name, address) for path, page in pages.items() for address in elsewhere(page.loads)] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", style.read_text(encoding="utf-8")) == []
    drawn = [path.name for path in pages if 'class="mermaid"' in path.read_text(encoding="utf-8")]
    assert drawn == [], "the theme would fetch what draws such diagrams"


def test_links_and_anchors_of_the_site_hold(pages: dict[Path, Page], site: Path) -> None:
    wrong = []
    for path, page in pages.items():
        for link in page.links | page.loads:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchored = target not in pages or unquote(parts.fragment) in pages[target].anchors
            if not (target.is_file() and target.is_relative_to(site.resolve()) and anchored):
                wrong.append((path.name, link))
    assert wrong == []


def test_references_are_filled_in(site: Path) -> None:
    for name, wanted in {
        "cli": [f"histoloom {command}" for command in commands()],
        "errors": list(error_classes()),
        "config": ["log_directory", "max_disk"],
        "outputs": ["super_resolved_mpp"],
        "python": ["load_predictor", "process_cohort"],
    }.items():
        text = re.sub(r"<[^>]+>", "", (site / "reference" / f"{name}.html").read_text(encoding="utf-8"))
        assert [word for word in wanted if word not in text] == []
    assert "geometry.py" in (site / "contributing.html").read_text(encoding="utf-8")


def test_the_search_finds_pages_of_a_site_that_is_opened_from_its_folder(site: Path) -> None:
    with open_chromium() as browser:
        tab = browser.new_page()
        tab.goto((site / "index.html").as_uri())
        tab.locator(".md-search__input").click()
        tab.locator(".md-search__input").press_sequentially("neuroglancer")
        first = tab.locator(".md-search-result__item h1").first
        first.wait_for(timeout=120_000)
        assert first.inner_text() == "Results in Neuroglancer and Viv"
        tab.close()


def test_no_code_of_the_site_itself_is_published(site: Path) -> None:
    assert [path.name for path in site.rglob("*.py")] == []
