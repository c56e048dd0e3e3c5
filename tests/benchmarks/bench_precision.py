"""What bf16 changes beside fp32: `python -m tests.benchmarks.bench_precision SLIDE [--side-px 320] [--device cpu]`.

The middle of a slide at 0.5 um/px, enlarged by `sr-x2` in both precisions; nuclei on what fp32 made of it, in both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.predict import load_predictor
from pipeline.geometry import Box
from pipeline.slide import open_slide


def middle(slide: Path, side_px: int) -> NDArray[np.uint8]:
    """(1, y, x, 3) of level 0."""
    with open_slide(slide) as source:
        frame = source.info.frame
        box = Box((frame.height - side_px) // 2, (frame.width - side_px) // 2, side_px, side_px)
        return source.level(0).read(box)[None]


def in_both(bundle: str, tiles: NDArray[np.uint8], device: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a network says in fp32 and in bf16."""
    fp32, bf16 = (load_predictor(bundle, device, precision)(tiles) for precision in ("fp32", "bf16"))
    return fp32.astype(np.float64), bf16.astype(np.float64)


def main() -> None:
    """Print the two lines that docs/how-to/precision.md rests on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--side-px", type=int, default=320)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    fine, fine_bf16 = in_both("sr-x2", middle(given.slide, given.side_px), given.device)
    moved = np.abs(fine - fine_bf16)
    print(f"sr-x2: {np.mean(moved > 0):.2%} of the values moved, by at most {moved.max():.0f} grey levels")
    said, said_bf16 = in_both("nuclei-unet", fine.astype(np.uint8), given.device)
    moved = np.abs(said - said_bf16)[..., 0]
    share = np.mean(moved > 0.05)
    print(f"nuclei-unet: {share:.2%} of the probabilities moved by more than 0.05, at most {moved.max():.2f}")


if __name__ == "__main__":
    main()
