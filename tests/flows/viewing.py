"""A viewer's server that runs for as long as a block, and what asks it without any library's manners."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from flows.view_server import Address, listening
from pipeline.object_url import ObjectUrl


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Viewer:
    """A running server."""

    port: int
    url: str

    @property
    def token(self) -> str:
        return urlsplit(self.url).query.removeprefix("token=")

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """One request, its target sent as it is; `_` in a header's name stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, content: bytes, wait_s: float = 10.0) -> bytes:
        """What comes back for bytes that may be no request; until the server closes or says nothing more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as connection:
            connection.sendall(content)
            received = b""
            while not (b"\r\n\r\n" in received and b"connection: close" not in received.lower()):
                piece = connection.recv(65_536)
                if not piece:
                    break
                received += piece
            return received


def slide_url(slide: str, *parts: object) -> str:
    return "/".join(["/api/slides", *(quote(str(part), safe="") for part in (slide, *parts))])


@contextmanager
def serving(place: Path | ObjectUrl, address: Address | None = None) -> Iterator[Viewer]:
    """A server on a free port of this machine."""
    with listening(place, address or Address(port=0)) as (server, listener, url):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.started
            yield Viewer(int(listener.getsockname()[1]), url)
        finally:
            server.should_exit = True
            thread.join(10)
