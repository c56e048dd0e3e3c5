"""Files that appear whole or not at all, and that a power cut does not take back.

POSIX: `rename` puts a file in another's place in one step, but neither the file's content nor its name need survive a
power cut before `fsync` of the file and of the folder. Contents first, then the name, then the folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from pipeline.disk import as_disk_full

_BLOCK_BYTES = 4096
_NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}

_waiting: ContextVar[dict[Path, Path] | None] = ContextVar("waiting", default=None)
"""File to the folder that its names are to survive under, of what `synced_together` will sync."""


@contextmanager
def whole_or_absent(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; it becomes `path`, durably, when all went well and vanishes when not."""
    with draft_of(path) as draft:
        yield draft
    sync_folder(path.parent)


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Like `whole_or_absent`, but a power cut may take the name back: whole or absent, nothing else."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
    except BaseException as error:
        written_bytes = draft.stat().st_size if draft.exists() else 0
        draft.unlink(missing_ok=True)
        full = as_disk_full(error, path, max(written_bytes, _BLOCK_BYTES))
        if full is None:
            raise
        raise full from error


@contextmanager
def synced_together() -> Iterator[None]:
    """Sync what `sync_names` is told of inside at the end, all at once: one commit of a journal instead of many."""
    token = _waiting.set({})
    try:
        yield
        _sync_all((_waiting.get() or {}).items())
    finally:
        _waiting.reset(token)


def sync_names(files: Iterable[Path], top: Path) -> None:
    """Make files durable, and their names, and those of the folders below `top` that hold them; now, or together."""
    found = dict.fromkeys(files, top)
    waiting = _waiting.get()
    if waiting is None:
        _sync_all(found.items())
    else:
        waiting |= found


def _sync_all(files: Iterable[tuple[Path, Path]]) -> None:
    folders: dict[Path, None] = {}
    for file, top in files:
        if file.exists():  # a shard of nothing but fill is a name taken away
            sync(file)
        for folder in file.parents:
            if folder.exists():
                folders[folder] = None
            if folder == top:
                break
    for folder in folders:
        sync_folder(folder)


def sync(file: Path) -> None:
    """Return when a file's content will survive a power cut."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder will survive a power cut; at once on file systems that do not offer it."""
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that a power cut does not take it away."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
