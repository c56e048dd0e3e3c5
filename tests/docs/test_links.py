from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name_of


def broken(page: Path) -> list[str]:
    """Targets of a page that lead nowhere; other people's sites are not asked."""
    wrong = []
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or not file.is_relative_to(ROOT) or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "reference" / "made-up.md"
    text = "[a](gone.md) [b](config.md#every-setting) [c](config.md#gone) `[d](gone.md)` [e [f]](gone.txt \"title\")"
    copy = tmp_path / "page.md"
    copy.write_text(text)
    assert [target for target in links(copy)] == [
        "gone.md", "config.md#every-setting", "config.md#gone", "gone.txt",
    ]  # fmt: skip
    try:
        page.write_text(text)
        assert broken(page) == ["gone.md", "config.md#gone", "gone.txt"]
    finally:
        page.unlink()
