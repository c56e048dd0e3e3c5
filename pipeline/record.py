"""What `run.json` says, read with distrust: people edit such files, other versions wrote them, disks cut them off.

A page that reports on a slide shows what is there. So a value of the wrong kind counts as absent, and text keeps
nothing that could break a line, a font or a table; escaping it for HTML is the template's part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.geometry import Frame

_MOST = 2**53  # whole numbers beyond it are no count of anything, and no double holds them


def plain(value: object, limit: int = 300) -> str:
    """A value as one printable line of at most `limit` characters; empty for None."""
    if value is None:
        return ""
    words = " ".join(str(value)[: 4 * limit].split())
    if not words.isprintable():
        words = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)
    return words if len(words) <= limit else words[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def number(value: object) -> float | None:
    """A finite number that is not absurd, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MOST <= value <= _MOST and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object; every look-up takes the path of keys to a value."""

    content: Mapping[str, Any]

    def at(self, *path: str) -> Any:
        """The value itself; None where the path leads nowhere."""
        value: Any = self.content
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def text(self, *path: str, limit: int = 300) -> str:
        """A value as one line; empty where it is absent or no simple value."""
        value = self.at(*path)
        return plain(value, limit) if isinstance(value, str | int | float) else ""

    def texts(self, *path: str) -> list[str]:
        """A list of lines."""
        value = self.at(*path)
        return [plain(entry) for entry in value if isinstance(entry, str)] if isinstance(value, list) else []

    def number(self, *path: str) -> float | None:
        """A finite number."""
        return number(self.at(*path))

    def count(self, *path: str) -> int | None:
        """A whole number that is not negative."""
        value = self.at(*path)
        return value if type(value) is int and 0 <= value <= _MOST else None

    def members(self, *path: str) -> dict[str, Any]:
        """The entries of an object; none where there is no object."""
        value = self.at(*path)
        return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else {}

    def records(self, *path: str) -> list[Record]:
        """The objects of a list."""
        value = self.at(*path)
        return [Record(entry) for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []

    def frame(self, *path: str) -> Frame | None:
        """A frame written as height, width and mpp; None where these make none."""
        height, width = self.count(*path, "height"), self.count(*path, "width")
        mpp = self.number(*path, "mpp")
        if not height or not width or mpp is None or mpp <= 0:
            return None
        return Frame(height, width, mpp)
