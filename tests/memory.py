"""How much more memory this process held at most while a block ran, on Linux; nothing where that cannot be known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def most_growth_below(budget_bytes: int) -> Iterator[None]:
    """Fail if the block takes more; getrusage would not see it below what was held at any time before."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
    except OSError:
        pytest.skip("the peak of memory cannot be set back here")
    before = _status_bytes("VmRSS")
    yield
    grown = _status_bytes("VmHWM") - before
    assert grown < budget_bytes, f"{grown / 2**20:.0f} MiB more"


def _status_bytes(field: str) -> int:
    return int(Path("/proc/self/status").read_text("ascii").split(f"{field}:")[1].split()[0]) * 1024
