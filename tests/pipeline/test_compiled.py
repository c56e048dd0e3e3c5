"""Kernels: numba's part is to be fast, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.compiled import compiled

KERNELS = """
import sys, threading, numpy as np
sys.path.insert(0, sys.argv[1])
import kernels
assert "numba" not in sys.modules
found = []
threads = [threading.Thread(target=lambda: found.append(float(kernels.total(np.arange(5.0))))) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
from pipeline.compiled import load_kernels
load_kernels()
print(found, "numba" in sys.modules)
"""

MODULE = '''
from pipeline.compiled import compiled

@compiled("float64(float64[::1])")
def total(values):
    """What it adds up to."""
    sum_ = 0.0
    for value in values:
        sum_ += value
    return sum_
'''


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    as_usual = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return subprocess.Popen(
        [sys.executable, "-c", KERNELS, str(folder)], env=as_usual | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def what_it_found(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "kernels.py").write_text(MODULE)
    return folder


def kept_in(folder: Path) -> set[str]:
    return {path.suffix for path in folder.rglob("kernels.total-*")}


EVERY_THREAD = "[10.0, 10.0, 10.0, 10.0] True"


def test_processes_and_threads_that_start_together_all_get_the_kernel_and_keep_it(package: Path) -> None:
    assert {what_it_found(process) for process in [start(package) for _ in range(4)]} == {EVERY_THREAD}
    assert kept_in(package) == {".nbi", ".nbc"}
    assert what_it_found(start(package)) == EVERY_THREAD


def test_where_the_package_cannot_be_written_the_users_cache_is(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").write_text("no folder")  # root may write wherever a folder can be
    home = tmp_path / "home"
    home.mkdir()
    assert what_it_found(start(package, HOME=str(home), XDG_CACHE_HOME=str(home))) == EVERY_THREAD
    assert kept_in(home) == {".nbi", ".nbc"}


def test_where_nothing_can_be_written_kernels_are_compiled_each_time(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").write_text("no folder")
    (tmp_path / "home").write_text("no folder either")
    nowhere = str(tmp_path / "home" / "cache")
    assert what_it_found(start(package, HOME=nowhere, XDG_CACHE_HOME=nowhere)) == EVERY_THREAD


def test_without_numba_s_compiler_a_kernel_is_plain_python(package: Path) -> None:
    assert what_it_found(start(package, NUMBA_DISABLE_JIT="1")) == EVERY_THREAD
    assert not kept_in(package)


NUCLEI = """
import hashlib
from pipeline.nuclei import owned_nuclei
from tests.pipeline.nuclei_maps import SMALL, frame_of, random_pixels, random_probabilities, tile_of
probabilities = random_probabilities(7, (130, 120))
frame = frame_of(probabilities)
tile = tile_of(frame.box)
rows = owned_nuclei(probabilities, random_pixels(7, (130, 120)), tile, frame, frame, None, SMALL)
print(rows.num_rows, hashlib.sha256(repr(rows.to_pydict()).encode()).hexdigest())
"""


QUALITY = """
import hashlib, numpy as np
from pipeline.qc_measure import measure
pixels = np.random.default_rng(7).integers(0, 256, (70, 90, 3)).astype(np.uint8)
measures = measure(pixels, (slice(4, 61), slice(0, 90)), 16, (240.0,) * 3)
print(measures.size, hashlib.sha256(measures.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("code", [NUCLEI, QUALITY])
def test_plain_python_finds_the_same_to_the_bit(code: str) -> None:
    """And sees to it that no loop leaves its arrays, which compiled ones do not."""
    plain, fast = (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": disabled}, text=True,
            capture_output=True, check=True,
        ).stdout.split()
        for disabled in "10"
    )  # fmt: skip
    assert plain == fast
    assert int(plain[0]) > 10


@compiled("int64(int64, int64)")
def _sum(one: int, other: int) -> int:
    """Both together."""
    return one + other


def test_a_kernel_keeps_its_name_its_words_and_the_plain_function() -> None:
    plain: Any = _sum
    assert (_sum.__name__, _sum.__doc__) == ("_sum", "Both together.")
    assert plain.__wrapped__(1, 2) == _sum(1, 2) == 3


def test_arrays_of_another_type_are_refused_and_not_compiled_for() -> None:
    wrong: Any = np.zeros(3)
    with pytest.raises(TypeError, match="No matching definition"):
        _sum(wrong, 1)
