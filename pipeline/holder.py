"""Whether somebody holds a lock, asked without taking it: a process that begins just then must not find it taken."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_LOCKS = Path("/proc/locks")
_FRESH_S = 120.0


def is_held(lock: Path) -> bool:
    """Whether a process of this machine holds the lock file.

    Linux says so in /proc/locks: among others the number of the locked file. Elsewhere a lock counts as held while what
    it guards was written to lately; one that a killed process left looks held for that long.
    """
    with suppress(OSError):
        number = lock.stat().st_ino
        if _LOCKS.is_file():
            words = (line.split() for line in _LOCKS.read_text(encoding="ascii", errors="replace").splitlines())
            return any(
                field.count(":") == 2 and field.endswith(f":{number}")
                for line in words
                if "FLOCK" in line
                for field in line
            )
        guarded = lock.with_name(lock.name[1 : -len(".lock")])
        touched = (entry.stat().st_mtime for entry in (guarded, *guarded.glob("ledger/*"), *guarded.glob("ledger/*/*")))
        return time.time() - max(touched, default=0.0) < _FRESH_S
    return False
