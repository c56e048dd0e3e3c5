"""What is being measured, on one line of a terminal that goes when it is through."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ANEW = "\r\x1b[2K"


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Give what says a line in the place of the last; no thread of its own takes time from what is measured."""

    def tell(title: str) -> None:
        sys.stderr.write(_ANEW + title[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write(_ANEW)
        sys.stderr.flush()
