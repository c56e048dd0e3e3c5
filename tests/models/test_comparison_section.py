from __future__ import annotations

from pathlib import Path

import pytest

from models.comparison_section import check_page, table, write_section
from models.errors import TrainingError

PAGE = "# Results\n\n<!-- begin one -->\nold\n<!-- end one -->\n\n<!-- begin two -->\nkept\n<!-- end two -->\n"


def test_a_section_is_written_anew_and_the_rest_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    write_section(page, "one", "new")
    assert page.read_text(encoding="utf-8") == PAGE.replace("old", "\nnew")
    once = page.read_text(encoding="utf-8")
    write_section(page, "one", "new")
    assert page.read_text(encoding="utf-8") == once
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("text", ["", "<!-- begin one -->", "<!-- end one --> <!-- begin one -->"])
def test_a_page_without_both_marks_in_order_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match="has no line <!-- begin one -->"):
        check_page(page, "one")
    with pytest.raises(TrainingError, match=r"absent\.md: cannot be read"):
        check_page(tmp_path / "absent.md", "one")


def test_a_table_has_a_line_a_row() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
