"""Which bytes of a file a Range header asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def asked_range(header: str | None, size: int) -> range | None:
    """The bytes of a file of `size` that are asked for; None where there are none of them.

    All of them without a header, and where it asks for something else than one range of bytes, as the standard allows.
    """
    found = _ONE_RANGE.fullmatch((header or "").strip())
    if found is None or found.groups() == ("", ""):
        return range(size)
    first, last = found.groups()
    if first == "":  # the last so many
        asked = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return range(size)
    else:
        asked = range(int(first), min(size, int(last) + 1) if last else size)
    return asked if len(asked) else None
