"""Web pages that open from disk: every value escaped, all of it in one file, written only where it changes."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.durable import whole_or_absent

_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, script: str | None = None, **values: object) -> bytes:
    """Fill in a page of `templates/`; `script` is the one file there that it runs.

    Browsers are told to run that text and no other, and to fetch nothing.
    """
    values["script"] = Markup((_TEMPLATES / script).read_text("utf-8")) if script else ""
    values["script_source"] = _hash_of(str(values["script"])) if script else "'none'"
    return _environment().get_template(template).render(**values).encode("utf-8", "replace")


def _hash_of(script: str) -> str:
    """What a Content-Security-Policy calls an inline script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
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
