"""Memory that is given back: for a process that lives long and reads large things in many threads."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import pyarrow as pa

# Of malloc.h: how many heaps threads share; from which size on a block is the system's own again when it is freed (told
# once, the library no longer raises it by itself); how much may stay free at a heap's end.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_FRUGAL = ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 1 << 18), (_TRIM_THRESHOLD, 1 << 20))


def give_memory_back() -> bool:
    """Keep little of what was freed, for this whole process; False where its C library knows no such thing."""
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform != "linux":
        return False
    with suppress(OSError, AttributeError):  # musl has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        taken = [mallopt(option, value) for option, value in _FRUGAL]
        return all(taken)
    return False
