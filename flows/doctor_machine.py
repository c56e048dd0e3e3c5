"""The doctor's look at the machine: memory, disk, temporary files, open files, threads, devices, a browser."""

from __future__ import annotations

import os
import shutil
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from flows.finding import Advice, Check, Unfit

LEAST_MEMORY_GB = 4
LEAST_DISK_GB = 10
LEAST_TEMPORARY_GB = 1
LEAST_OPEN_FILES = 1024

_CUDA = (
    "Install torch's build for CUDA: pip install torch --index-url https://download.pytorch.org/whl/cu126 "
    "(pytorch.org says which number fits the driver)."
)


def machine_checks() -> Iterator[Check]:
    """Everything but devices, which want torch."""
    yield Check("cores and memory", try_memory, "Take --workers 1 and --core-px 512, and close other programs.")
    yield Check("threads", try_threads)
    yield Check("disk", partial(try_disk, Path.cwd()), "Make room, or give --out on another disk.")
    yield Check("temporary files", try_temporary, "Make room there, or name another folder: export TMPDIR=/path")
    yield Check("open files", try_open_files, f"Allow more in this shell: ulimit -n {4 * LEAST_OPEN_FILES}")
    yield Check("engines", try_engines)
    yield Check("browser", try_browser)


def try_memory() -> str:
    """What there is, or what a container may take."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    found = f"{CPU_COUNT} cores, {MEMORY_LIMIT / 1e9:.1f} GB of memory"
    if MEMORY_LIMIT < LEAST_MEMORY_GB * 1e9:
        msg = f"{found}; a run can take {LEAST_MEMORY_GB} GB"
        raise Unfit(msg)
    return found


def try_threads() -> str | Advice:
    """Whether networks would start more threads than there are cores: some twenty times slower, where it happens."""
    import torch
    from dask.system import CPU_COUNT

    threads = torch.get_num_threads()
    return judge_threads(threads, CPU_COUNT)


def judge_threads(threads: int, cores: int) -> str | Advice:
    """A line; raises where there are too many."""
    found = f"{threads} {'thread' if threads == 1 else 'threads'} of a network on {cores} cores"
    if threads > cores:
        msg = f"{found}: they would wait for each other"
        raise TooManyThreads(msg, f"export OMP_NUM_THREADS={cores}")
    if threads < cores and "OMP_NUM_THREADS" in os.environ:
        more = f"OMP_NUM_THREADS asks for no more; if nothing else needs the cores: export OMP_NUM_THREADS={cores}"
        return Advice(found, more)
    return found


class TooManyThreads(Unfit):
    """With the number that would do."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.cure = cure


def try_disk(folder: Path) -> str:
    """Room and leave to write where results would go."""
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{free:.0f} GB free at {folder}"
    if not os.access(folder, os.W_OK):
        msg = f"{folder} cannot be written to"
        raise Unfit(msg)
    if free < LEAST_DISK_GB:
        msg = f"{found}; the results of one large slide can take {LEAST_DISK_GB} GB"
        raise Unfit(msg)
    return found


def try_temporary() -> str:
    """Write a file where temporary ones go."""
    with tempfile.TemporaryFile() as file:
        file.write(b"histoloom")
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    found = f"{free:.0f} GB free at {tempfile.gettempdir()}"
    if free < LEAST_TEMPORARY_GB:
        raise Unfit(found)
    return found


def try_engines() -> str | Advice:
    """What computes networks here, and which of them a run takes for what it was measured with."""
    from flows.engine_choice import remembered_choices
    from models.engine import ENGINES, is_installed

    here = [engine for engine in ENGINES if is_installed(engine)]
    chosen = [f"{one['bundle']} ({one['precision']}) by {one['engine']}" for one in remembered_choices()]
    found = " and ".join(here) + (f"; measured: {', '.join(chosen)}" if chosen else "")
    if "openvino" not in here:
        return Advice(found, "Classifiers may be faster on CPUs with a second one: pip install 'histoloom[openvino]'")
    return found


def try_open_files() -> str:
    """How many files a process may hold open: stores are many files, and workers talk through more."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return "no limit of the system's"
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judge_open_files(allowed, most)


def judge_open_files(allowed: int, most: int) -> str:
    """A line; raises where there are too few."""
    found = f"{allowed} at a time"
    if 0 <= allowed < LEAST_OPEN_FILES:
        msg = f"{found}; a run with several workers can take {LEAST_OPEN_FILES}"
        raise TooFewFiles(msg, most)
    return found


class TooFewFiles(Unfit):
    """With what the system would allow."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__(what)
        enough = most < 0 or most >= LEAST_OPEN_FILES
        wanted = 4 * LEAST_OPEN_FILES if most < 0 else min(most, 4 * LEAST_OPEN_FILES)
        shell = f"Allow more in this shell: ulimit -n {wanted}"
        self.cure = shell if enough else "Ask whoever runs the machine for more (nofile in /etc/security/limits.conf)."


def try_browser() -> str | Advice:
    """Something that `histoloom view` can open its page in."""
    with suppress(webbrowser.Error):
        return f"{getattr(webbrowser.get(), 'name', 'the default one')}, for histoloom view"
    tunnel = "ssh -L 8300:127.0.0.1:8300 THIS-MACHINE"
    return Advice("none on this machine", f"To see histoloom view's pages elsewhere: {tunnel}, then open them there.")


def device_checks() -> Iterator[Check]:
    """One a CUDA device; where there is none, whether there could be."""
    try:
        import torch

        count = torch.cuda.device_count()
    except Exception:  # torch has a check of its own
        return
    for number in range(count):
        yield Check(f"cuda:{number}", partial(_try_cuda, number), "Update the driver, or take --device cpu.")
    if not count:
        yield Check("cuda", _why_none)


def _try_cuda(number: int) -> str:
    """Compute something on it, and compare."""
    import torch

    device = torch.device("cuda", number)
    values = torch.arange(65_536, dtype=torch.float32).reshape(256, 256) / 65_536
    there = (values.to(device, torch.float64) @ values.to(device, torch.float64)).cpu()
    if not torch.allclose(there, values.double() @ values.double()):
        msg = "computes something else than the CPU"
        raise Unfit(msg)
    free, whole = torch.cuda.mem_get_info(device)
    return f"{torch.cuda.get_device_name(device)}, {free / 1e9:.0f} of {whole / 1e9:.0f} GB free, computes"


def _why_none() -> str | Advice:
    import torch

    if not Path("/proc/driver/nvidia/version").is_file() and shutil.which("nvidia-smi") is None:
        return "no NVIDIA GPU here; networks run on the CPU"
    if torch.version.cuda is None:
        return Advice("an NVIDIA driver is here, and a torch that cannot use it", _CUDA)
    return Advice("no GPU that torch could use", "See nvidia-smi; CUDA_VISIBLE_DEVICES may hide them.")
