"""Those who compute at the same time share the cores, and nobody is left without."""

import threading

import pytest
import torch

from models.cores import Cores


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
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(all_of_them)
        assert taken(Cores(lambda: sharing)) == share
    finally:
        torch.set_num_threads(before)


def test_who_comes_later_takes_more_when_others_have_gone() -> None:
    before, crowd = torch.get_num_threads(), [4]
    try:
        torch.set_num_threads(4)
        cores = Cores(lambda: crowd[0])
        assert taken(cores) == 1
        crowd[0] = 1
        assert taken(cores) == 4
    finally:
        torch.set_num_threads(before)
