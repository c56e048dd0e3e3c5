"""Tables in Markdown, of texts that come from code."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """A text as a table's cell: one line, no column of its own, no HTML but what stands between backticks as it is."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else html.escape(part, quote=False) for place, part in enumerate(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells as they are; those that come from code go through `cell` first."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
