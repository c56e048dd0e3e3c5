import subprocess
import sys
import threading
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.loading import loading_ahead
from pipeline.stage import Network
from pipeline.workspace import predictor


def inverted(tiles: NDArray[np.uint8]) -> NDArray[Any]:
    return 255 - tiles


def end_when(event: threading.Event, error: BaseException) -> NoReturn:
    event.wait()
    raise error


def test_the_first_network_is_loaded_beside_the_block_and_once() -> None:
    threads = []

    def load() -> Any:
        threads.append(threading.current_thread().name)
        return inverted

    def load_later() -> Any:
        threads.append("later")
        return inverted

    with loading_ahead([Network("one", load, 0.5), Network("two", load_later, 0.5)]):
        predictor(load)
    predictor(load)
    assert threads == ["loading-ahead"]


@pytest.mark.parametrize("quality", [True, False])
@pytest.mark.parametrize("nuclei", [True, False])
def test_the_kernels_that_are_wanted_are_loaded_and_no_others(quality: bool, nuclei: bool) -> None:
    code = f"""
import sys
import pipeline.nuclei, pipeline.qc_measure
from flows.loading import loading_ahead
from pipeline.compiled import _kernels
with loading_ahead([], quality={quality}, nuclei={nuclei}):
    pass
print("numba" in sys.modules, *{{kernel.__module__.split("_")[0] for kernel in _kernels if kernel._machine_code}})
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) == {str(quality or nuclei), *["pipeline.qc"] * quality, *["pipeline.nuclei"] * nuclei}


def test_a_network_that_cannot_be_loaded_fails_where_it_is_used() -> None:
    def load() -> Any:
        msg = "no weights"
        raise OSError(msg)

    with loading_ahead([Network("one", load, 0.5)]):
        pass
    with pytest.raises(OSError, match="no weights"):
        predictor(load)


def test_a_block_that_fails_waits_until_nothing_is_half_loaded() -> None:
    begun, loaded = threading.Event(), []

    def load() -> Any:
        begun.set()
        threading.Event().wait(0.2)
        loaded.append("one")
        return inverted

    with pytest.raises(ValueError, match="a fault"), loading_ahead([Network("one", load, 0.5)]):
        end_when(begun, ValueError("a fault"))
    assert loaded == ["one"]


def test_a_run_that_is_told_to_stop_does_not_wait() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def load() -> Any:
        begun.set()
        go_on.wait()
        return inverted

    with pytest.raises(KeyboardInterrupt), loading_ahead([Network("one", load, 0.5)]):
        end_when(begun, KeyboardInterrupt())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "loading-ahead")
    go_on.set()
    thread.join()
