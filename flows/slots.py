"""One slide a GPU: a slide waits until the place that would work on it is free.

The place is a global concurrency limit of Prefect's, where one of this name exists; without one nobody waits. Its slots
are leased for a few minutes and renewed, so that a machine that dies holds none of them for long.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_client, get_run_logger
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from pipeline.config import SlideConfig


def place_of_work(config: SlideConfig, scheduler: str | None) -> str:
    """The limit's name: `slide-on-` and `<host>-cpu`, `<host>-cuda<N>` or, with dask, `<scheduler's host>-<port>`."""
    here = scheduler is None
    where = f"{socket.gethostname()}-{_device(config)}" if here else str(scheduler).rpartition("://")[2]
    return "slide-on-" + re.sub(r"[^A-Za-z0-9.]+", "-", where).strip("-")


@contextmanager
def slot(place: str) -> Iterator[None]:
    """Hold a slot of the place, where Prefect's server knows a limit of that name."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(place)
        except ObjectNotFound:
            limited = False
        else:
            limited = True
    if not limited:
        yield
        return
    get_run_logger().info(f"waiting for a slot of {place}")
    # A server that is away for a while is no reason to throw work away.
    with concurrency(place, occupy=1, raise_on_lease_renewal_failure=False):
        yield


def _device(config: SlideConfig) -> str:
    """The device by the number that the machine gives it, whatever part of the machine this process sees."""
    device = config.device
    if device == "auto" and (config.sr, config.nuclei, config.classifiers) == ("none", "none", ()):
        device = "cpu"  # nothing is computed: torch need not be asked
    elif device == "auto":
        from models.predict import resolve_device

        device = resolve_device("auto")[0]
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return kind
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    visible = [name.strip() for name in seen.split(",")] if seen else []
    number = int(index or 0)
    return f"cuda{visible[number] if number < len(visible) else number}"
