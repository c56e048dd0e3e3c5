"""What later stages and the last page need, loaded while the first stages read the slide.

torch, a network, matplotlib and what numba has compiled take seconds to load, on one core; the first run on a machine
compiles, some more. In a run on the threads of one process they are there when they are wanted, or nearly so; worker
processes load for themselves what they need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from pipeline.compiled import load_kernels

if TYPE_CHECKING:
    from pipeline.stage import Network

_PAGES = "pipeline.preview", "pipeline.report"


@contextmanager
def loading_ahead(networks: Sequence[Network], quality: bool = False, nuclei: bool = False) -> Iterator[None]:
    """Beside the block, load what it wants, in the order in which stages do.

    Those are the kernels of quality control, the first of the networks, the kernels of nuclei, and pages. Other
    networks load in a moment then. A block that fails waits for it: Python must not end while a library is half
    loaded. One that is told to stop does not.
    """
    thread = Thread(target=_load, args=(networks, quality, nuclei), name="loading-ahead", daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        thread.join()
        raise
    thread.join()


def _load(networks: Sequence[Network], quality: bool, nuclei: bool) -> None:
    """Whatever is wrong is found again, and told of, by who needs it."""
    from pipeline.workspace import predictor

    if quality:
        _load_kernels("pipeline.qc_measure")
    for network in networks[:1]:
        with suppress(Exception):
            predictor(network.load)
    if nuclei:
        _load_kernels("pipeline.nuclei")
    for module in _PAGES:
        with suppress(Exception):
            import_module(module)


def _load_kernels(module: str) -> None:
    """Those of a module and of its parts, whose names begin as its own does."""
    with suppress(Exception):
        import_module(module)
        load_kernels(module)
