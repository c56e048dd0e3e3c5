"""Memory that is freed is kept: the next array of its size is made of the same pages."""

import os
import subprocess
import sys

import pytest

from pipeline.allocator import ENVIRONMENT

PROGRAM = """
import ctypes, resource, sys, threading
from pipeline.allocator import keep_freed_memory

def faults_of_ten_large_blocks():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    def once():
        block = libc.malloc(80 << 20)
        ctypes.memset(block, 1, 80 << 20)
        libc.free(block)
    once()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        once()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    assert keep_freed_memory()
found = []
thread = threading.Thread(target=lambda: found.append(faults_of_ten_large_blocks()))
thread.start(); thread.join()
print(found[0])
"""

glibc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone can keep what is freed")


def faults(how: str, **environment: str) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], env=clean | environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@glibc
def test_large_blocks_of_a_thread_are_made_of_pages_that_are_there() -> None:
    assert faults("not") > 10 * 20_000 * 0.5  # 80 MiB are 20,480 pages, unless the kernel makes them larger
    assert faults("keep") < 500


@glibc
def test_a_process_may_be_started_so() -> None:
    assert faults("not", **ENVIRONMENT) < 500


@glibc
def test_what_the_users_environment_says_goes_first() -> None:
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="65536") > 10 * 20_000 * 0.5
