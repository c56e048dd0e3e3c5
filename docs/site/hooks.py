"""What mkdocs calls while it builds the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path

FOLDERS = {"Tutorial": "tutorial", "How to": "how-to", "Reference": "reference", "Explanation": "explanation"}


def on_config(config: Any) -> Any:
    """Put pages that the navigation does not name at the end of their folder's section."""
    for entry in config.nav:
        for title, pages in entry.items() if isinstance(entry, dict) else ():
            folder = FOLDERS.get(title)
            found = sorted((ROOT / "docs" / folder).glob("*.md")) if folder else []
            names = [path.relative_to(ROOT / "docs").as_posix() for path in found]
            pages[:] = [page for page in pages if (ROOT / "docs" / page).exists()]
            pages += [name for name in names if name not in pages]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what is made from the code."""
    from docs.site.generated import fill_in

    return fill_in(markdown)
