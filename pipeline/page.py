"""Web pages that open from disk: rendered with every value escaped, no scripts, written only where they change."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.durable import whole_or_absent


def render(template: str, **values: object) -> bytes:
    """Fill in a page of `templates/`."""
    return _environment().get_template(template).render(**values).encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(content: bytes, media_type: str) -> str:
    """A file as a link that carries it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file in one step; a file that holds the same bytes already keeps its time of change."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    with whole_or_absent(path) as draft:
        draft.write_bytes(content)
