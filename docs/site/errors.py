"""The reference of the errors: each class, and each pair of lines that the code raises it with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import models.errors
import pipeline.errors
from docs.site.tables import cell, table

ROOT = Path(__file__).parents[2]
_HIDDEN = "…"  # stands for what is known only when it happens


@dataclass(frozen=True, slots=True)
class Told:
    """One place that raises an error."""

    error: str
    what: str
    cure: str


def error_classes() -> dict[str, type[Exception]]:
    """Every error of the two modules by name, bases before what derives from them."""
    return {
        name: member
        for module in (pipeline.errors, models.errors)
        for name, member in vars(module).items()
        if isinstance(member, type) and issubclass(member, Exception) and member.__module__ == module.__name__
    }


@cache
def told() -> tuple[Told, ...]:
    """What the code says with each error, by package and place."""
    paths = sorted(path for package in ("pipeline", "models", "flows") for path in (ROOT / package).glob("*.py"))
    return tuple(one for path in paths for one in _told_in(ast.parse(path.read_text(encoding="utf-8"))))


def _told_in(tree: ast.Module) -> Iterator[Told]:
    """Calls of an error's class, or of its `about`; a text that is put together before is looked up above the call."""
    names = error_classes().keys()
    texts: dict[str, ast.expr] = {}
    for node in sorted((node for node in ast.walk(tree) if hasattr(node, "lineno")), key=lambda node: node.lineno):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            texts[node.targets[0].id] = node.value
        if not isinstance(node, ast.Call):
            continue
        function, arguments = node.func, node.args
        if isinstance(function, ast.Attribute) and function.attr == "about":
            function, arguments = function.value, arguments[1:]
        if isinstance(function, ast.Name) and function.id in names and arguments:
            what, *rest = [_text(argument, texts) for argument in arguments]
            yield Told(function.id, what, rest[0] if rest else "")


def _text(node: ast.expr, texts: dict[str, ast.expr]) -> str:
    """What an expression says, as far as the code alone tells."""
    if isinstance(node, ast.Name) and node.id in texts:
        return _text(texts[node.id], {})
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, {}) for part in node.values)
    return _HIDDEN


def render_errors() -> str:
    """A section an error: what it means, what it derives from, what is said with it."""
    return "\n\n".join(_section(name, kind) for name, kind in error_classes().items())


def _section(name: str, kind: type[Exception]) -> str:
    own = [base.__name__ for base in kind.__mro__[1:] if base.__name__ in error_classes()]
    builtin = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
    facts = " A kind of " + ", ".join(f"`{base}`" for base in (*own[:1], *builtin)) + "." if own or builtin else ""
    cases = {(one.what, one.cure) for one in told() if one.error == name and set(one.what) - set(_HIDDEN + ": ")}
    rows = [(cell(what), cell(cure)) for what, cure in sorted(cases)]
    return f"### {name}\n\n{kind.__doc__}{facts}" + (f"\n\n{table(('It says', 'What to do'), rows)}" if rows else "")
