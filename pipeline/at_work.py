"""How many batches this process works on at this moment: they share its cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_batches = 0


@contextmanager
def one_more_batch() -> Iterator[None]:
    """Count a batch while the block runs."""
    _add(1)
    try:
        yield
    finally:
        _add(-1)


def batches_at_work() -> int:
    """So many; 1 where nobody counts."""
    return max(1, _batches)


def _add(more: int) -> None:
    global _batches
    with _lock:
        _batches += more
