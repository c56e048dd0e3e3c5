"""What was freed is the system's again."""

import subprocess
import sys

import pytest

KEPT = """
import numpy as np
from pipeline.frugal import give_memory_back
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is promised")
def test_large_arrays_leave_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 12
