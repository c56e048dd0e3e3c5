"""A real HTTP proxy between a client and an object store, that does to chosen requests what networks and stores do.

It listens on a port of this machine, forwards every request as it came, and breaks those that a `Fault` names.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

Kind = Literal["status", "silence", "cut", "lost", "slow"]


@dataclass
class Fault:
    """What happens to the next `times` requests whose "METHOD path" holds `pattern`."""

    pattern: str
    kind: Kind
    """status: refused with `status`, not forwarded; silence: no answer for `seconds`, then closed; cut: half of the
    answer's body, then closed; lost: forwarded, done, and closed without an answer; slow: forwarded after `seconds`."""
    times: int = 1
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 0.0
    met: int = 0


@dataclass
class FaultProxy:
    """A context manager; `endpoint` is where clients go instead of to the store."""

    upstream: tuple[str, int]
    faults: list[Fault] = field(default_factory=list)
    one_at_a_time: bool = False
    """moto looks and writes in two steps, between which others get in; a store whose conditional writes are atomic, as
    all three clouds' are, looks like moto asked one thing at a time."""
    requests: list[str] = field(default_factory=list)
    """METHOD and path of all that arrived."""
    answered: list[tuple[str, int]] = field(default_factory=list)
    """METHOD and path of all that got an answer, and the bytes of its body."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.turn = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, pattern: str, kind: Kind, **settings: Any) -> Fault:
        fault = Fault(pattern, kind, **settings)
        with self._lock:
            self.faults.append(fault)
        return fault

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, request: str) -> Fault | None:
        """The fault that this request meets, used up by one."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.met < fault.times and re.search(fault.pattern, request):
                    fault.met += 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up, as those do that are killed."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.proxy.take(f"{self.command} {self.path}")
        if fault is not None and fault.kind in ("silence", "slow"):
            time.sleep(fault.seconds)
        if fault is not None and fault.kind == "silence":
            self.hang_up()
        elif fault is not None and fault.kind == "status":
            xml = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code></Error>".encode()
            self.answer(fault.status, [("Content-Type", "application/xml")], xml, len(xml))
        else:
            with self.server.proxy.turn if self.server.proxy.one_at_a_time else nullcontext():
                self.forward(body, fault.kind if fault is not None else None)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any

    def forward(self, body: bytes, kind: Kind | None) -> None:
        connection = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if kind == "lost":
            self.hang_up()
            return
        length = int(answer.headers.get("Content-Length") or len(content))  # of a HEAD's, without the body
        sent = content[: len(content) // 2] if kind == "cut" else content
        ours = ("connection", "content-length", "transfer-encoding", "date", "server")
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in ours]
        self.answer(answer.status, kept, sent, length)
        if len(sent) < len(content):
            self.hang_up()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: int) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.server.proxy.answered.append((f"{self.command} {self.path}", len(body)))
        self.wfile.write(body)
        self.wfile.flush()

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()
