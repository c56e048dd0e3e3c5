"""Batches at work are counted while they are, also when one fails."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pipeline.at_work import batches_at_work, one_more_batch


def test_nobody_at_work_counts_as_one() -> None:
    assert batches_at_work() == 1


def test_batches_of_all_threads_are_counted() -> None:
    together = threading.Barrier(3, timeout=10)

    def work(_: int) -> int:
        with one_more_batch():
            together.wait()
            seen = batches_at_work()
            together.wait()
        return seen

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [3, 3, 3]
    assert batches_at_work() == 1


def test_a_batch_that_failed_is_no_longer_at_work() -> None:
    with suppress(ValueError), one_more_batch(), one_more_batch():
        assert batches_at_work() == 2
        raise ValueError
    assert batches_at_work() == 1
