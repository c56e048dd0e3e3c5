"""What a network's pass over one tile costs, and what two measures save of it: `python -m tests.benchmarks.bench_pass`.

Each setting has a process of its own and one thread. CPU seconds of the program and of the kernel, by getrusage: wall
time would tell what else the machine does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np

TILES = {"sr-x2": 512, "sr-x2-fast": 512, "sr-x4": 256, "nuclei-unet": 1024, "nuclei-unet-fast": 1024}
SETTINGS = ("as torch does it", "freed memory is kept", "and convolutions take up what follows")
PASSES = 4


def spent() -> tuple[float, float, int]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime, usage.ru_minflt


def measure(setting: int, precision: str) -> None:
    """Print a line a network."""
    import torch

    from models.predict import load_predictor
    from pipeline.allocator import keep_freed_memory

    torch.set_num_threads(1)
    if setting > 0:
        assert keep_freed_memory()
    for bundle, side in TILES.items():
        as_it_is = patch("models.predict.fuse", lambda network: network) if setting < 2 else nullcontext()
        with as_it_is:
            predictor = load_predictor(bundle, "cpu", precision)
        tile = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        predictor(tile)
        before = spent()
        for _ in range(PASSES):
            predictor(tile)
        user, kernel, faults = ((now - then) / PASSES for now, then in zip(spent(), before, strict=True))
        print(f"{bundle:16} {side:5} px  {precision}  {SETTINGS[setting]:38}", end="")
        print(f"{user + kernel:7.3f} s, of it kernel {kernel:6.3f} s, {faults:9,.0f} page faults", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(int(sys.argv[1]), sys.argv[2])
    else:
        for chosen in ("bf16", "fp32"):
            for number in range(len(SETTINGS)):
                command = [sys.executable, "-m", "tests.benchmarks.bench_pass", str(number), chosen]
                subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
