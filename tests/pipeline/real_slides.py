"""The real slides that HISTOLOOM_DATA names; a test that asks for one is skipped, visibly, where they are absent."""

import os
from pathlib import Path

import pytest


def real_file(place: str) -> Path:
    """Return a file of the data folder, by its path inside it."""
    folder = os.environ.get("HISTOLOOM_DATA")
    if not folder:
        pytest.skip("HISTOLOOM_DATA names no folder of slides")
    path = Path(folder) / place
    if not path.exists():
        pytest.skip(f"HISTOLOOM_DATA has no {place}")
    return path
