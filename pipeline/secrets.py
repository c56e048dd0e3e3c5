"""Keep secrets out of what is shown and kept: credentials in URLs, and the values of variables that hold some."""

from __future__ import annotations

import os
import re
from pathlib import Path

_HIDDEN = "***"
_SHORTEST = 8
"""Shorter values are words that a text may hold by chance."""

# Path makes one slash of two.
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*:/{1,2})[^/\s@'\"]+@")
_PARAMETER = re.compile(
    r"(?i)([?&;](?:[\w-]*(?:signature|credential|token|secret|password|accesskey|access_key|api_?key)[\w-]*|sig|key)=)"
    r"[^&;\s'\"]+"
)
_VARIABLE = re.compile(r"(?i)secret|token|passw|credential|_key$|apikey|connection_string|sas")


def _is_place(value: str) -> bool:
    """Whether a variable names a file that holds a secret, and is none itself; a secret may begin with a slash too."""
    return value.startswith(("/", "~")) and Path(value).expanduser().exists()


def redacted(text: str) -> str:
    """The same text with credentials of URLs, signatures of signed links and values of secret variables hidden."""
    text = _PARAMETER.sub(rf"\1{_HIDDEN}", _USER.sub(rf"\1{_HIDDEN}@", text))
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and value in text and _VARIABLE.search(name) and not _is_place(value):
            text = text.replace(value, _HIDDEN)
    return text
