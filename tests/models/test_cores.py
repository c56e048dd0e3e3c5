"""Those who compute at the same time share the cores, and nobody is left without."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from models.cores import Cores, all_threads


@contextmanager
def a_process_of(threads: int) -> Iterator[None]:
    """As a process that torch has so many threads in, and none computed in before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    all_threads.cache_clear()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        all_threads.cache_clear()


def taken(cores: Cores) -> int:
    """How many threads a thread of its own may use after it took its share."""
    found: list[int] = []

    def compute() -> None:
        cores.take()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(("all_of_them", "sharing", "share"), [(6, 1, 6), (6, 2, 3), (6, 4, 1), (6, 9, 1), (1, 3, 1)])
def test_each_takes_an_equal_share_and_one_core_at_least(all_of_them: int, sharing: int, share: int) -> None:
    with a_process_of(all_of_them):
        assert taken(Cores(lambda: sharing)) == share


def test_who_comes_later_takes_more_when_others_have_gone() -> None:
    crowd = [4]
    with a_process_of(4):
        cores = Cores(lambda: crowd[0])
        assert taken(cores) == 1
        crowd[0] = 1
        assert taken(cores) == 4


def test_a_network_that_is_loaded_where_another_took_a_share_still_has_all_cores() -> None:
    with a_process_of(4):
        assert taken(Cores(lambda: 4)) == 1
        later: list[Cores] = []
        thread = threading.Thread(target=lambda: later.append(Cores(lambda: 1)))  # torch begins it with one
        thread.start()
        thread.join()
        assert taken(later[0]) == 4
