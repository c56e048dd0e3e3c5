"""The folder of what can be made again at any time: the user's cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def user_cache() -> Path:
    """Where this user's programs keep such things; `XDG_CACHE_HOME` names another place."""
    named = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named)
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # a container's user without a home
        return Path(tempfile.gettempdir())


def own_cache() -> Path:
    """Histoloom's part of it, which need not be there yet."""
    return user_cache() / "histoloom"
