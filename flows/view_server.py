"""Serves the viewer: one process, one event loop, few threads; patient with no client for long."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import secrets
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.view_app import make_app
from flows.view_catalogue import Catalogue
from flows.view_guard import VIEWERS, Policy
from pipeline.allocator import give_memory_back
from pipeline.errors import ConfigError
from pipeline.object_url import Place

# A client has so long to send a whole request; one that says nothing between two is let go later.
_REQUEST_S, _IDLE_S = 10.0, 15
# A client that takes nothing of an answer for so long is let go.
_STALLED_S = 30.0
_MOST_HEADER_BYTES = 16_384
# Connections that wait for a request; the oldest makes room.
_MOST_WAITING = 200


class Impatient(H11Protocol):
    """Closes a connection whose request does not come, or whose answer is not taken, so that none is kept from others.

    It is cut off: to close it in good manner would be to wait until the client has taken what was sent so far.
    """

    _waiting: ClassVar[OrderedDict[Impatient, None]] = OrderedDict()
    _deadline: asyncio.TimerHandle | None = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()  # the next request has begun

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            Impatient._waiting[self] = None
        elif self.transport.get_write_buffer_size():
            self._lose_patience()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._lose_patience()

    def resume_writing(self) -> None:
        self._regain_patience()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._regain_patience()
        super().connection_lost(exc)

    def _lose_patience(self) -> None:
        self._regain_patience()
        self._patience = self.loop.call_later(_STALLED_S, self.transport.abort)

    def _regain_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(_REQUEST_S, self._give_up)
        waiting = Impatient._waiting
        waiting[self] = None
        if len(waiting) > _MOST_WAITING:
            next(iter(waiting))._give_up()

    def _stop_waiting(self) -> None:
        Impatient._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.abort()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and whom to answer."""

    host: str = "127.0.0.1"
    port: int = 8300
    token: bool = False
    """Demand a token on loopback too; elsewhere it is always demanded."""
    names: tuple[str, ...] = ()
    """Further names that the server is reached by."""
    origins: tuple[str, ...] = ()
    """Further pages that may read stores."""


@contextmanager
def listening(place: Place, address: Address) -> Iterator[tuple[uvicorn.Server, socket.socket, str]]:
    """A server that is ready to run, its socket, and the URL to open.

    Raises
    ------
    ConfigError
        for a host that is none of this machine, or a port that is taken
    """
    catalogue = Catalogue(place)
    with _bound(address) as listener:
        port = int(listener.getsockname()[1])
        token = secrets.token_urlsafe(24) if address.token or not is_loopback(address.host) else None
        policy = Policy(
            names=frozenset({*_own_names(address.host), *(name.lower() for name in address.names)}),
            token=token,
            store_token=secrets.token_urlsafe(24) if token else None,
            origins=frozenset({*VIEWERS, *address.origins}),
            cookie=f"histoloom-{port}",
        )
        config = uvicorn.Config(
            make_app(catalogue, policy), http=Impatient, ws="none", loop="asyncio", lifespan="on", log_level="error",
            access_log=False, server_header=False, date_header=False, proxy_headers=False,
            timeout_keep_alive=_IDLE_S, timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        )  # fmt: skip
        shown = f"[{address.host}]" if ":" in address.host else address.host
        if address.host in {"0.0.0.0", "::"}:
            shown = socket.gethostname()
        yield uvicorn.Server(config), listener, f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def serve(place: Place, address: Address, announce: Callable[[str], None]) -> None:
    """Serve until interrupted; `announce` gets the URL as soon as it can be opened."""
    give_memory_back()
    with listening(place, address) as (server, listener, url):
        Thread(target=_when_started, args=(server, url, announce), daemon=True).start()
        server.run(sockets=[listener])


def _when_started(server: uvicorn.Server, url: str, announce: Callable[[str], None]) -> None:
    import time

    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.01)
    announce(url)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_names(host: str) -> set[str]:
    return {name.lower() for name in (host, socket.gethostname(), socket.getfqdn()) if name}


@contextmanager
def _bound(address: Address) -> Iterator[socket.socket]:
    """A socket that listens at an address."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        msg = f"--host {address.host}: no address of this machine ({error.strerror or error})"
        raise ConfigError(
            msg, "Leave it out to look from this machine, or give 0.0.0.0 for all its networks."
        ) from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except OSError as error:
            raise _cannot_bind(address, error) from error
        listener.listen(256)
        yield listener


def _cannot_bind(address: Address, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        what = f"--port {address.port}: another program listens there"
        return ConfigError(what, "Give another --port, or --port 0 for any that is free.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        what = f"--port {address.port}: not allowed to listen there"
        return ConfigError(what, "Give a --port above 1023, or --port 0 for any that is free.")
    what = f"--host {address.host}: no address of this machine ({error.strerror})"
    return ConfigError(what, "Leave it out to look from this machine, or give 0.0.0.0 for all its networks.")
