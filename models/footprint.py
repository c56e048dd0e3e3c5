"""What a network takes before it has run: memory of its weights and of one pass, arithmetic a pixel.

Counted on PyTorch's `meta` device, where tensors have shapes and no values: nothing is computed, and a network of any
size takes no memory to ask about. What a real pass takes beside its live tensors (copies in the layout that a kernel
likes, the allocator's leavings) is measured: docs/explanation/budgets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.bundle import build_without_memory
from models.card import Card
from models.cost import multiply_adds
from models.predict import CLASSIFIED_AT_ONCE_CPU, CLASSIFIED_AT_ONCE_CUDA

_SIDE_PX = 256


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one network in fp32; bf16 takes half."""

    weights_bytes: int
    pass_bytes_per_px: float
    """Most bytes of tensors alive at one moment of a pass, per input pixel."""
    multiply_adds_per_px: float
    """Per input pixel."""
    at_once_cpu: int = 1
    """Tiles or patches that one pass takes."""
    at_once_cuda: int = 1


def footprint(card: Card) -> Footprint:
    """Count what the network of a card takes."""
    network = build_without_memory(card, Path(card.name)).eval()
    side = card.field_px or _SIDE_PX + -_SIDE_PX % card.stride_px
    live = _Live()
    with torch.inference_mode(), live:
        network(torch.empty(1, 3, side, side, device="meta"))
    weights = sum(value.nbytes for value in [*network.parameters(), *network.buffers()])
    classified = card.task == "classification"
    return Footprint(
        weights,
        live.most_bytes / side**2,
        multiply_adds(network, side) / side**2,
        CLASSIFIED_AT_ONCE_CPU if classified else 1,
        CLASSIFIED_AT_ONCE_CUDA if classified else 1,
    )


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch says nothing of its modes' types
    """Follows which tensors are alive while operations run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, then count what is alive."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                alive = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._alive.setdefault(storage._cdata, (alive, storage.nbytes()))
        self._alive = {
            key: entry
            for key, entry in self._alive.items()
            if not entry[0].expired()  # type: ignore[no-untyped-call]
        }
        self.most_bytes = max(self.most_bytes, sum(size for _, size in self._alive.values()))
        return made
