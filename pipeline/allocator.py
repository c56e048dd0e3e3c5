"""Keep memory that was freed, instead of giving it back to the kernel and asking for it again.

glibc returns every large array to the kernel when it is freed; the next one of the same size is made of new pages, each
zeroed at its first touch. A network of 24 layers does so 24 times a tile: half of the CPU time of super-resolution was
the kernel's (docs/explanation/performance.md). Kept, the memory of a process is the most that it ever needed at once.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

# Largest value that `mallopt` takes, an int; arrays beyond it are few and their pages few beside their work.
_MOST = 2**31 - 1
# glibc's numbers (malloc.h) and the environment variables that say the same to a process that is to be started.
_OPTIONS = {
    "MALLOC_TRIM_THRESHOLD_": (-1, _MOST),
    "MALLOC_MMAP_THRESHOLD_": (-3, _MOST),
    # One heap for all threads: further ones are made of pieces of 64 MiB, which larger arrays do not fit.
    "MALLOC_ARENA_MAX": (-8, 1),
}

ENVIRONMENT = {name: str(value) for name, (_, value) in _OPTIONS.items()}
"""For processes that are to be started: there it holds from their first thread on."""


@cache
def keep_freed_memory() -> bool:
    """Have this process keep what it frees; whether it can (glibc alone). What the user's environment says goes first.

    Best before the process has threads: those that are there keep the heaps that they have.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(name in os.environ or mallopt(number, value) == 1 for name, (number, value) in _OPTIONS.items())
