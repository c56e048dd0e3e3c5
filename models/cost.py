"""What a network costs: multiply-adds counted, milliseconds measured; and what the device could do."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.device import choose_device
from models.predict import Precision, Predictor


def multiply_adds(network: nn.Module, side_px: int) -> int:
    """Return the multiply-adds of convolutions, products and attention for one input (1, 3, side_px, side_px).

    Two floating-point operations each. Sums, activations and interpolation are not counted, as is usual.
    """
    image = torch.zeros(1, 3, side_px, side_px, device=next(network.parameters()).device)
    counter = FlopCounterMode(display=False)
    # attention by its plain products, which can be counted
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network.eval()(image)
    return int(counter.get_total_flops()) // 2


def milliseconds(predictor: Predictor, side_px: int, repeats: int = 7) -> float:
    """Return the median time of one tile of side_px px, pixels in and pixels out, after one that warms up."""
    tile = np.random.default_rng(0).integers(0, 256, (1, side_px, side_px, 3), dtype=np.uint8)
    took = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        predictor(tile)
        took.append(time.perf_counter() - start)
    return 1000 * float(np.median(took[1:]))


def product_seconds(device: str, precision: Precision, side: int, repeats: int) -> list[float]:
    """Return how long a product of two matrices (side x side) takes, several times; 2 side^3 operations each.

    One that nobody counts goes before. fp32 is that of the networks: not rounded to TF32.
    """
    place = choose_device(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(side, side, generator=generator).to(place, dtype) for _ in range(2))
    took = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            product = torch.mm(first, second)
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            took.append(time.perf_counter() - start)
            del product
    return took[1:]
