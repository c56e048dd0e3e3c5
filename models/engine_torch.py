"""torch as an engine: weights folded, channels last, on a CPU convolutions joined with what follows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.fold import fold
from models.fuse import fuse

if TYPE_CHECKING:
    from models.card import Card
    from models.device import Precision
    from models.engine import EngineName


class TorchEngine:
    """Computes every network on every device."""

    name: EngineName = "torch"

    def prepare(
        self,
        network: nn.Module,
        card: Card,  # the network says all
        device: torch.device,
        precision: Precision,
        at_once: int,  # any number may come
    ) -> Callable[[Tensor], Tensor]:
        """See `models.engine.Engine`."""
        _keep_kernels()
        folded = fold(network).to(device, torch.bfloat16 if precision == "bf16" else torch.float32)
        folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's own types
        if device.type == "cuda":
            _fix_kernels()
        return fuse(folded) if device.type == "cpu" else folded


def _keep_kernels() -> None:
    """Let oneDNN, when it is first used, keep as many compiled convolutions as there are layers and sizes of tiles.

    Of its own accord it keeps 1,024: a cohort makes them again and again, 3 ms a layer and tile.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")


def _fix_kernels() -> None:
    """Let cuDNN take the same kernels each time, and keep fp32 from being rounded to TF32; for the whole process."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
