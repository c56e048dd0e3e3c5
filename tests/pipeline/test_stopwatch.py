"""What is spent is counted once, in the thread that spends it, and only while a stopwatch runs."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.stopwatch import Spent, spending, started

PAUSE_S = 0.02


@spending("reading")
def read() -> None:
    time.sleep(PAUSE_S)


@spending("writing")
def write() -> int:
    read()  # what is read in order to write is part of the writing
    return 7


def test_of_calls_within_each_other_the_outermost_counts() -> None:
    with started() as watch:
        assert write() == 7
        read()
    assert watch.spent.reading == pytest.approx(PAUSE_S, rel=0.9)
    assert watch.spent.writing >= PAUSE_S
    assert watch.spent.device == 0


def test_each_thread_has_a_stopwatch_of_its_own() -> None:
    def work(calls: int) -> Spent:
        with started() as watch:
            for _ in range(calls):
                read()
        return watch.spent

    with ThreadPoolExecutor(2) as pool:
        none, three = pool.map(work, (0, 3))
    assert none == Spent()
    assert three.reading >= 3 * PAUSE_S


def test_nothing_is_counted_where_none_runs_and_an_error_stops_the_count() -> None:
    read()

    @spending("device")
    def broken() -> None:
        raise ZeroDivisionError

    with started() as watch:
        with pytest.raises(ZeroDivisionError):
            broken()
        time.sleep(PAUSE_S)
    assert 0 < watch.spent.device < PAUSE_S
    assert watch.spent + Spent(1, 2, 3) == Spent(1, watch.spent.device + 2, 3)
