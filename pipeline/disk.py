"""A full disk, said as such: which path, how many bytes were wanted, how many are left."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DiskFull

# No space, no quota left, or more than one file may hold (ulimit -f).
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OF_RUST = re.compile(r"\(os error (\d+)\)")


@contextmanager
def room_for(path: Path, needed_bytes: int) -> Iterator[None]:
    """Raise `DiskFull` where what is done inside fails for want of space; other errors pass."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = as_disk_full(error, path, needed_bytes)
        if full is None:
            raise
        raise full from error


def as_disk_full(error: BaseException, path: Path, needed_bytes: int) -> DiskFull | None:
    """What to tell of an error that a full disk is behind; None for any other."""
    if isinstance(error, DiskFull) or _number(error) not in _FULL:
        return None
    standing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(standing).free
    what = f"{path}: no space left: at least {needed_bytes:,} bytes are needed there at once, {free:,} are free"
    return DiskFull(what, "Make space (or raise the quota), then run the same command again: it goes on from here.")


def _number(error: BaseException) -> int | None:
    """The system's number of an error; zarrs tells it in words alone."""
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return error.errno
    said = _OF_RUST.search(str(error))
    return int(said.group(1)) if said else None
