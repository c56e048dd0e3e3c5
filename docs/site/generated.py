"""What pages leave to the code: `<!-- generated: NAME -->` becomes what is made here when the site is built.

Nothing of it is committed, so nothing of it can be stale. `python -m docs.site.generated NAME` prints one part.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping

from docs.site.code_map import render_code_map
from docs.site.command_line import render_command_line
from docs.site.errors import render_errors
from docs.site.settings import render_cohort_columns, render_settings

PARTS: Mapping[str, Callable[[], str]] = {
    "cli": render_command_line,
    "settings": render_settings,
    "cohort columns": render_cohort_columns,
    "errors": render_errors,
    "map of the code": render_code_map,
}

MARK = re.compile(r"^<!-- generated: (?P<name>[^>]*?) -->$", re.MULTILINE)


def fill_in(markdown: str) -> str:
    """A page with its marks replaced; `KeyError` for a mark that nobody fills."""
    return MARK.sub(lambda mark: PARTS[mark["name"]](), markdown)


if __name__ == "__main__":
    print(PARTS[" ".join(sys.argv[1:])]())
