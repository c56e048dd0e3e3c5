"""Memory that is freed is kept where it is needed again, and is the system's again where it is not."""

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

KEPT = """
import numpy as np
from pipeline.allocator import give_memory_back
assert give_memory_back()
def held():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024
begin = held()
for _ in range(2):  # the second time the C library would by itself keep blocks of the first one's size
    pieces = [np.ones(1 << 20) for _ in range(12)]
    markers = [pieces[index].copy() for index in range(0, 12, 4)]
    del pieces
print(held() - begin - sum(marker.nbytes for marker in markers) / 2**20)
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


@glibc
def test_where_memory_is_given_back_large_arrays_leave_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 12


HOLES = """
import numpy as np
from pipeline.allocator import keep_freed_memory, let_go_of_free_memory
assert keep_freed_memory()
def held():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) / 1024
pieces = [np.ones(1 << 20) for _ in range(24)]
between = pieces[::4]
del pieces
before = held()
assert let_go_of_free_memory()
print(before - held(), sum(float(one.sum()) for one in between))
"""


@glibc
def test_kept_memory_can_be_let_go_of_around_what_lies_in_it() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    freed_mib, total = map(float, done.stdout.split())
    assert freed_mib > 17 * 8  # of 18 arrays of 8 MiB
    assert total == 6 << 20
