"""One slide a GPU: a slide waits until the place that would work on it is free.

The place is a global concurrency limit of Prefect's, where one of this name exists; without one nobody waits. Its slots
are leased for a few minutes and renewed, so that a machine that dies holds none of them for long.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from httpx import TransportError
from prefect import get_client, get_run_logger
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from models.device import resolve_device
from pipeline.config import SlideConfig
from pipeline.schedule import Workforce


def place_of_work(config: SlideConfig, workforce: Workforce) -> str:
    """The limit's name: `slide-on-` and `<host>-cpu`, `<host>-cuda<N>`, `<scheduler's host>-<port>`, a cluster's kind.

    Kinds on this machine have its name before them: `<host>-local`, `<host>-cuda` (all GPUs of a `[cluster]`).
    """
    if workforce.scheduler is not None:
        where = workforce.scheduler.rpartition("://")[2]
    elif workforce.cluster is not None:
        where = workforce.cluster.kind if workforce.elsewhere else f"{socket.gethostname()}-{workforce.cluster.kind}"
    else:
        where = f"{socket.gethostname()}-{_device(config)}"
    return "slide-on-" + re.sub(r"[^A-Za-z0-9.]+", "-", where).strip("-")


@contextmanager
def slot(place: str) -> Iterator[None]:
    """Hold a slot of the place, where Prefect's server knows a limit of that name.

    A server that is away for a while is no reason to throw work away: then nobody waits.
    """
    with ExitStack() as stack:
        try:
            if _is_limited(place):
                get_run_logger().info(f"waiting for a slot of {place}")
                stack.enter_context(concurrency(place, occupy=1, raise_on_lease_renewal_failure=False))
        except (TransportError, PrefectHTTPStatusError) as error:
            get_run_logger().warning(f"no slot of {place} held: {error}")
        yield
        with _told_if_away(place):
            stack.close()


@contextmanager
def _told_if_away(place: str) -> Iterator[None]:
    try:
        yield
    except (TransportError, PrefectHTTPStatusError) as error:  # its lease runs out by itself
        get_run_logger().warning(f"slot of {place} not given back: {error}")


def _is_limited(place: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(place)
        except ObjectNotFound:
            return False
        return True


def _device(config: SlideConfig) -> str:
    """The device by the number that the machine gives it, whatever part of the machine this process sees."""
    device = config.device
    if device == "auto" and (config.sr, config.nuclei, config.classifiers) == ("none", "none", ()):
        device = "cpu"  # nothing is computed: torch need not be asked
    elif device == "auto":
        device = resolve_device("auto")[0]
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return kind
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    visible = [name.strip() for name in seen.split(",")] if seen else []
    number = int(index or 0)
    return f"cuda{visible[number] if number < len(visible) else number}"
