"""What Tab offers: names of bundles, slides, folders of results. Looks at names alone, so that nobody waits for it."""

from __future__ import annotations

import os
from pathlib import Path

from flows.slide_names import is_slide_name
from models.shelf import shipped_names


def super_resolvers(incomplete: str) -> list[str]:
    """For --sr."""
    return _beginning(["auto", "none", *shipped_names()], incomplete) or folders(incomplete)


def networks(incomplete: str) -> list[str]:
    """For --nuclei and --classifier."""
    return _beginning(["none", *shipped_names()], incomplete) or folders(incomplete)


def bundles(incomplete: str) -> list[str]:
    """For --bundle."""
    return _beginning(shipped_names(), incomplete) or folders(incomplete)


def slides(incomplete: str) -> list[str]:
    """Slides, and folders on the way to some."""
    return [name for name in _beside(incomplete) if name.endswith("/") or is_slide_name(name)]


def folders(incomplete: str) -> list[str]:
    """Folders alone."""
    return [name for name in _beside(incomplete) if name.endswith("/")]


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _beside(incomplete: str) -> list[str]:
    """What lies in a folder and begins as what is typed, as it would be typed; folders end in a slash."""
    typed, _, begun = incomplete.rpartition("/")
    typed = f"{typed}/" if "/" in incomplete else ""
    try:
        entries = sorted(os.scandir(Path(typed or ".").expanduser()), key=lambda entry: entry.name)
    except (OSError, RuntimeError):
        return []
    return [
        f"{typed}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
    ]
