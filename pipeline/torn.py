"""What a crash can leave half-written in an OME-Zarr store: found, and removed so that it is made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

DRAFTS = ".drafts-"
"""How the folders begin that shards are drafted in; a killed process leaves one."""


def metadata_is_whole(folder: Path, files: Iterable[str]) -> bool:
    """Whether all of these files are there, and JSON."""
    return all(_is_json(folder / file) for file in files)


def drop_torn_metadata(folder: Path) -> None:
    """Remove metadata of a group that a power cut left empty or half."""
    for file in ("zarr.json", ".zgroup", ".zattrs"):
        if (folder / file).is_file() and not _is_json(folder / file):
            (folder / file).unlink()


def sweep_drafts(store: Path) -> None:
    """Remove drafts of shards and of metadata; no other process may be writing to the store."""
    for drafts in store.glob(f"{DRAFTS}*"):
        shutil.rmtree(drafts, ignore_errors=True)
    for draft in store.rglob("*.partial"):  # zarr's own, of metadata
        draft.unlink(missing_ok=True)


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True
