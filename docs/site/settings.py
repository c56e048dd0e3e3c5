"""The reference of the settings: fields of the dataclasses that a cohort's TOML is read into, with the texts below."""

from __future__ import annotations

import ast
import inspect
from dataclasses import MISSING, Field, fields
from typing import Any

from docs.site.tables import cell, table
from pipeline.budget_config import Budget
from pipeline.cluster_config import KINDS, Cluster
from pipeline.cohort_row import CohortRow
from pipeline.config import SlideConfig


def explained(kind: type) -> dict[str, str]:
    """Field to the text below it, of a class and those that it inherits from; a field without a text is left out."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__[:-1]):
        body = ast.parse(inspect.getsource(owner)).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[field.target.id] = words
    return found


def render_settings() -> str:
    """A table for the slides, one a kind of cluster, one for the budget."""
    parts = ["### Of slides", _table(SlideConfig), "### `[cluster]`", _table(Cluster, "Settings of every kind:")]
    parts += [_table(kind, f'`kind = "{name}"`: {kind.__doc__}', but=Cluster) for name, kind in KINDS.items()]
    return "\n\n".join([*parts, "### `[budget]`", _table(Budget, sizes=True)])


def render_cohort_columns() -> str:
    """The columns of cohort.parquet."""
    return _table(CohortRow, columns=True)


def _table(kind: type, title: str = "", but: type | None = None, *, sizes: bool = False, columns: bool = False) -> str:
    inherited = {field.name: field.default for field in fields(but)} if but else {}
    rows = []
    for field in fields(kind):
        if field.name in inherited and inherited[field.name] == field.default:
            continue
        name = field.name.removesuffix("_bytes") if sizes else field.name
        meaning = cell(explained(kind).get(field.name, ""))
        rows.append((f"`{name}`", _type(field, sizes=sizes), *(() if columns else (_default(field),)), meaning))
    head = ("Column", "Type", "") if columns else ("Setting", "Type", "Default", "")
    return "\n\n".join(part for part in (title, table(head, rows) if rows else "Nothing more.") if part)


def _type(field: Field[Any], *, sizes: bool) -> str:
    if sizes:
        return 'size: `"20GiB"`'
    named = {"ReaderName": "str", "Precision": "str", "NgffVersion": "str"}
    written = str(field.type).removesuffix(" | None")
    return cell(f"`{named.get(written, written)}`")


def _default(field: Field[Any]) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "wanted"
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "" if value is None else f"`{_as_toml(value)}`"


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, dict):
        return "{}"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
