"""What this machine computes with, as far as it can be told without torch, whose import takes a second.

Who plans asks here, and so does who loads a network: so what is written down is what is computed. Where the answer is
not sure, both ask torch (`models.device`).
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

# Files of devices that torch may call cuda: NVIDIA's, its small boards', AMD's, what Windows lends to Linux.
_GPUS = re.compile(r"nvidia|nvgpu|nvhost|nvmap|kfd$|dxg$")
_DRIVERS = ("libcuda.so.1", "libamdhip64.so")

# Instructions that compute bf16, and those without which oneDNN does not use them.
_BF16, _BESIDE = {"avx512_bf16", "amx_tile"}, {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_KNOWS_BF16 = (5, 16)
"""The first Linux that has names for all of them; an older one is silent about instructions that are there."""
_KEEP_BACK = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that keep oneDNN from instructions that the CPU has."""


def lacks_gpus(devices: Path = Path("/dev")) -> bool:
    """Whether there is certainly no GPU for torch: neither a device nor a driver. False says nothing."""
    if sys.platform != "linux":
        return False
    try:
        found = any(_GPUS.match(device.name) for device in devices.iterdir())
    except OSError:
        return False
    return not found and not any(_can_be_loaded(driver) for driver in _DRIVERS)


def _can_be_loaded(library: str) -> bool:
    with suppress(OSError):
        ctypes.CDLL(library)
        return True
    return False


def computes_bf16(cpuinfo: Path = Path("/proc/cpuinfo"), linux: str | None = None) -> bool | None:
    """Whether the CPU has instructions for bf16 that oneDNN uses; None where only torch can tell.

    `linux` is the kernel's release, by default that of this machine.
    """
    flags = _flags(cpuinfo)
    if not flags or any(os.environ.get(name) for name in _KEEP_BACK):
        return None
    if not flags >= _BESIDE:
        return False
    if flags & _BF16:
        return True
    release = re.match(r"(\d+)\.(\d+)", linux or os.uname().release)
    return False if release and (int(release[1]), int(release[2])) >= _KNOWS_BF16 else None


def has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies matrices of bf16 (AMX), and oneDNN lets it."""
    return bool(computes_bf16(cpuinfo)) and _flags(cpuinfo) >= {"amx_tile", "amx_bf16"}


def _flags(cpuinfo: Path) -> set[str]:
    """What an x86 CPU can do, in Linux' words; nothing of other CPUs and other systems."""
    with suppress(OSError), cpuinfo.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "flags":
                return set(value.split())
    return set()
