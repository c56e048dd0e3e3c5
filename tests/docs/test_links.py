from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name_of


def broken(page: Path, root: Path = ROOT) -> list[str]:
    """Targets of a page that lead nowhere; other people's sites are not asked."""
    wrong = []
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or not file.is_relative_to(root.resolve()) or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Title\n\n## What `this` is\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md) [b](other.md#what-this-is) [c](other.md#gone) `[d](gone.md)` ![e [f]](gone.png 'g')")
    assert list(links(page)) == ["gone.md", "other.md#what-this-is", "other.md#gone", "gone.png"]
    assert broken(page, tmp_path) == ["gone.md", "other.md#gone", "gone.png"]
    assert anchors(tmp_path / "other.md") == {"title", "what-this-is"}
    assert broken(page, tmp_path / "elsewhere") == list(links(page)), "a link may not leave the repository"
