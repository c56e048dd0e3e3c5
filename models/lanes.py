"""Two passes at the same time on a GPU: while one computes, the other's pixels go there and its results come back.

Each has a stream of its own. Pixels travel as bytes, both ways through pinned memory: from any other the driver would
copy them twice and let the GPU wait. Where memory does not suffice for two, one is alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_Lane = TypeVar("_Lane")


class Lanes(Generic[_Lane]):
    """So many things that threads compute on, each for one thread at a time."""

    def __init__(self, *lanes: _Lane) -> None:
        self._count = len(lanes)
        self._free: SimpleQueue[_Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)
        self._collecting = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[_Lane]:
        """Have a lane while the block runs; wait for it where all are taken."""
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    @contextmanager
    def alone(self) -> Iterator[_Lane]:
        """Have a lane, and nobody another one; not to be asked for by who has one already."""
        with self._collecting, ExitStack() as taken:  # two who collect at once would wait for each other
            lanes = [taken.enter_context(self.one()) for _ in range(self._count)]
            yield lanes[0]


class CudaPasses:
    """Passes on one GPU; from any number of threads."""

    def __init__(self, device: torch.device, at_once: int = 2) -> None:
        self._device = device
        self._lanes = Lanes(*(_stream(device) for _ in range(at_once)))

    @contextmanager
    def one(self) -> Iterator[None]:
        """Compute on a stream of this pass's own while the block runs."""
        with self._lanes.one() as stream, self._on(stream):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Compute while no other pass does, with all memory that is free."""
        with self._lanes.alone() as stream, self._on(stream):
            torch.cuda.empty_cache()
            yield

    def _on(self, stream: torch.cuda.Stream) -> AbstractContextManager[Any]:
        stream.wait_stream(torch.cuda.default_stream(self._device))  # where weights were brought
        return torch.cuda.stream(stream)

    def upload(self, array: NDArray[np.uint8]) -> Tensor:
        """Bring bytes to the GPU, in the order of this pass's stream."""
        return torch.from_numpy(array).pin_memory().to(self._device, non_blocking=True)


@cache
def cuda_passes(device: torch.device) -> CudaPasses:
    """Those of a GPU, which all predictors of a process share: who is alone there has all of its memory."""
    return CudaPasses(device)


class CpuPasses:
    """Any number at the same time, in the processor's own memory."""

    @contextmanager
    def one(self) -> Iterator[None]:
        """Compute while the block runs."""
        yield

    def upload(self, array: NDArray[np.uint8]) -> Tensor:
        """The same bytes."""
        return torch.from_numpy(array)


def _stream(device: torch.device) -> torch.cuda.Stream:
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def download(tensor: Tensor) -> NDArray[Any]:
    """Return what a tensor holds, once it is computed, as an array."""
    held = tensor
    if tensor.is_cuda:
        held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        held.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream(tensor.device).synchronize()
    array: NDArray[Any] = held.numpy()
    return array
