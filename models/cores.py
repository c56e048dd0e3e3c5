"""Share a process's cores among the threads that compute at the same time, each with an equal number of torch's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

Sharing = Callable[[], int]
"""Says how many share the cores at this moment, the caller included."""


@cache
def all_threads() -> int:
    """How many threads torch took in this process before the first share was taken.

    Later it says what shares are: of this thread's last pass, or in a new thread of any other's.
    """
    return torch.get_num_threads()


class Cores:
    """The cores that torch may use here; `take` before each pass."""

    def __init__(self, sharing: Sharing) -> None:
        self._all = all_threads()
        self._sharing = sharing

    def take(self) -> None:
        """Let what this thread computes next use this thread's share, one core at least.

        torch keeps the number for each thread. A pass on one core of its own waits for nobody; two that both use all
        cores wait for each other at every layer.
        """
        share = max(1, self._all // max(1, self._sharing()))
        if share != torch.get_num_threads():
            torch.set_num_threads(share)
