"""Who closes the gate is alone; those who pass it are together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.fuse import fuse
from models.gate import Gate
from tests.models.examples import SMALL_SR, SMALL_UNET, card, network, predictor, tissue


def test_many_pass_at_the_same_time() -> None:
    gate, together = Gate(), threading.Barrier(3, timeout=10)

    def work() -> None:
        with gate.passing():
            together.wait()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work) for _ in range(3)]:
            done.result()  # where one had to wait outside, the barrier broke


def test_who_closes_it_waits_for_those_inside_and_keeps_others_out() -> None:
    gate, told, leave = Gate(), [], threading.Event()

    def pass_through(name: str) -> None:
        with gate.passing():
            told.append(f"{name} in")
            leave.wait(10)
            told.append(f"{name} out")

    def close() -> None:
        with gate.closed():
            told.append("closed")
            time.sleep(0.05)
            told.append("open")

    first, closing, second = (
        threading.Thread(target=pass_through, args=["first"]),
        threading.Thread(target=close),
        threading.Thread(target=pass_through, args=["second"]),
    )
    for thread in (first, closing, second):
        thread.start()
        time.sleep(0.1)
    leave.set()
    for thread in (first, closing, second):
        thread.join()
    assert told == ["first in", "first out", "closed", "open", "second in", "second out"]


def test_a_gate_opens_again_after_a_fault() -> None:
    gate = Gate()
    for block in (gate.closed, gate.passing):
        try:
            with block():
                raise ValueError
        except ValueError:
            pass
    with gate.closed():
        pass


def test_predictors_compute_while_networks_are_traced() -> None:
    compute, batch = predictor(card(SMALL_SR)), tissue(48, 48)[np.newaxis]
    faults: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            while not ended.is_set():
                compute(batch)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        fuse(network(card(SMALL_UNET)))
    ended.set()
    for thread in threads:
        thread.join()
    assert not faults
