"""A section of a Markdown page that a command writes anew, between two marks that only browsers do not show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from models.errors import TrainingError


def check_page(page: Path, section: str) -> tuple[str, str]:
    """Return what stands before and behind the place of a section.

    Raises
    ------
    TrainingError
        if the page cannot be read, or does not mark the place.
    """
    begin, end = _marks(section)
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise TrainingError.about(page, f"cannot be read ({error})", "Name a Markdown file.") from error
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        what = f"has no line {begin} and, behind it, {end}"
        raise TrainingError.about(page, what, "Put both lines where the table belongs.")
    return before, after


def write_section(page: Path, section: str, text: str) -> None:
    """Write a section of a page anew, between its two marks, and leave the rest alone."""
    before, after = check_page(page, section)
    begin, end = _marks(section)
    unfinished = page.with_name(f"{page.name}.part")
    unfinished.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
    unfinished.replace(page)


def _marks(section: str) -> tuple[str, str]:
    return f"<!-- begin {section} -->", f"<!-- end {section} -->"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *rows))
