"""Who may write in a slide's folder: workers of the plan that it was begun with, and nobody while it is begun or moved.

A driver that is killed may leave workers that still do its batches, on this machine or on another. They write the same
bytes as a new run of the same plan would, so they do no harm; but not those of another plan, nor in a folder that is
being swept or has been given its final name. So a batch holds the folder's fence, a file that names the plan, with a
shared lock, and whoever begins or publishes the folder holds it alone. The system frees locks of the dead. (flock(2):
between machines this holds as far as the file system passes locks on, as NFS and Lustre do.)
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreBusy, StoreError

FENCE = "writers.lock"
_POLL_S = 0.05


@contextmanager
def writing(folder: Path, plan: str) -> Iterator[None]:
    """Hold the fence of a folder with the others who write for the same plan.

    Raises
    ------
    StoreError
        if the folder is gone, or was begun anew with another plan
    """
    path = folder / FENCE
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        raise _stale(folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        if not _stands(path, handle) or os.read(handle, 1024).decode() != plan:
            raise _stale(folder)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(folder: Path, wait_s: float = 120.0) -> Iterator[None]:
    """Hold the fence of a folder against all who write in it; at once where there is none.

    Raises
    ------
    StoreBusy
        if workers of an earlier run are still writing after `wait_s`
    """
    try:
        handle = os.open(folder / FENCE, os.O_RDWR)  # NFS locks alone what is open for writing
    except FileNotFoundError:
        yield
        return
    try:
        _acquire(handle, folder, time.monotonic() + wait_s)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() > deadline:
                msg = f"{folder}: workers are still writing there, of an earlier run or such as do not answer any more"
                raise StoreBusy(msg, "Wait until they are through, or end them; then run the command again.") from None
            time.sleep(_POLL_S)
        else:
            return


def _stands(path: Path, handle: int) -> bool:
    """Whether the file that was opened is still the one under that name."""
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _stale(folder: Path) -> StoreError:
    msg = f"{folder}: is gone, or was begun anew with another plan; a batch of the earlier one writes nothing"
    return StoreError(msg, "Nothing is lost; run the command again if no other run is going on.")
