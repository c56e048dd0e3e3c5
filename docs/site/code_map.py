"""The map of the code: every module with the first line of its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

from docs.site.tables import cell, table

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "models", "flows", "docs/site")


def modules() -> dict[str, str]:
    """Path from the project's root to the first sentence of the docstring, '' where there is none."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): _line(path) for path in paths}


def _line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def render_code_map() -> str:
    """A table a package."""
    lines = modules()
    return "\n\n".join(
        f"### `{package}/`\n\n"
        + table(
            ("Module", ""),
            [(f"`{path.removeprefix(package + '/')}`", cell(line)) for path, line in lines.items()
             if path.startswith(package + "/")],
        )
        for package in PACKAGES
    )  # fmt: skip
