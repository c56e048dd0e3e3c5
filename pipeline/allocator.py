"""What becomes of memory that was freed: kept by a process that computes, given back by one that serves.

glibc returns every large array to the kernel when it is freed; the next one of the same size is made of new pages, each
zeroed at its first touch. A network of 24 layers does so 24 times a tile: half of the CPU time of super-resolution was
the kernel's (docs/explanation/performance.md). Kept, the memory of a process is the most that it ever needed at once.
A server that reads large things now and then, in many threads, is the other way round.

What malloc.h calls its settings, and the environment variables that say the same to a process that is to be started.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

_NUMBERS = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_ARENA_MAX": -8}
# Blocks up to this size are kept: the most that `mallopt` takes, an int. Larger ones are few, their pages few beside
# their work. One heap for all threads: further ones are made of pieces of 64 MiB, which larger arrays do not fit.
_KEEP = {"MALLOC_TRIM_THRESHOLD_": 2**31 - 1, "MALLOC_MMAP_THRESHOLD_": 2**31 - 1, "MALLOC_ARENA_MAX": 1}
# From this size on a block is the system's again when it is freed (told once, the library no longer raises it by
# itself), and so is what stays free at a heap's end.
_GIVE_BACK = {"MALLOC_TRIM_THRESHOLD_": 1 << 20, "MALLOC_MMAP_THRESHOLD_": 1 << 18, "MALLOC_ARENA_MAX": 2}

ENVIRONMENT = {name: str(value) for name, value in _KEEP.items()}
"""For processes that will compute: there it holds from their first thread on."""


@cache
def keep_freed_memory() -> bool:
    """Have this process keep what it frees; whether it can (glibc alone). What the user's environment says goes first.

    Best before the process has threads: those that are there keep the heaps that they have.
    """
    return _set({name: value for name, value in _KEEP.items() if name not in os.environ})


def let_go_of_free_memory() -> bool:
    """Give the kernel the pages that nothing lies in; whether the library can.

    What is kept fits the next array of its size. Tiles of many sizes leave places that few of them fit, and a process
    that keeps all of those grows from slide to slide.
    """
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):  # another C library
        return False


def give_memory_back() -> bool:
    """Have this process keep little of what it frees; whether it can."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    return _set(_GIVE_BACK)


def _set(values: dict[str, int]) -> bool:
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    taken = [mallopt(_NUMBERS[name], value) == 1 for name, value in values.items()]
    return all(taken)
