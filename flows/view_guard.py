"""Who may ask the viewer for what, decided before any route is: method, address, token; and what answers carry.

docs/explanation/viewer-security.md says against whom.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A report is one file that carries all it shows; whatever else were in it neither runs nor calls home. The cohort's
# links to its table, which a browser saves.
REPORT_CSP = (
    "sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

# Pages of other origins that may read stores: viewers that a person opens on purpose.
VIEWERS = ("https://neuroglancer-demo.appspot.com", "https://hms-dbmi.github.io", "https://avivator.gehlenborglab.org",
           "https://ome.github.io")  # fmt: skip

_MOST_TARGET, _MOST_QUERY = 4096, 2048

STORE_PREFIX = "/with/"
_STORE_PATH = re.compile(r"/files/[^/]+/[^/]+\.ome\.zarr(/|$)")


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom the server answers."""

    names: frozenset[str]
    """Names that the server is known by; its addresses are known anyway."""
    token: str | None = None
    """What a browser must show once; None: everybody on this machine may look."""
    store_token: str | None = None
    """What programs that keep no cookie name in a store's address."""
    origins: frozenset[str] = frozenset(VIEWERS)
    """Pages that may read stores."""
    cookie: str = "histoloom"

    def knows_host(self, host: str) -> bool:
        """Whether a Host header is one that a rebound name cannot have."""
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of another origin may read a store; those served by this machine may."""
        if origin in self.origins:
            return True
        try:
            parts = urlsplit(origin)
            return parts.scheme in {"http", "https"} and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        except ValueError:
            return False


class Refusal(Exception):
    """A request that gets no further."""

    def __init__(self, status: int, error: str, cure: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(error)
        self.status, self.error, self.cure = status, error, cure
        self.headers = [("cache-control", "no-store"), *headers]

    def written(self, accept: str) -> tuple[str, bytes]:
        """Media type and words: two lines for a person who opened an address, else JSON for a program."""
        if "text/html" in accept:
            return "text/plain; charset=utf-8", f"{self.error}\n{self.cure}\n".encode()
        return "application/json", json.dumps({"error": self.error, "cure": self.cure}).encode()


class Guard:
    """Stands before an application."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        extra = dict(_ALWAYS)
        guarded = _Sender(send, extra)
        try:
            path = self._let_in(scope, headers, extra)
        except Refusal as refusal:
            await guarded.refuse(refusal, headers.get("accept", ""))
            return
        if scope["method"] == "OPTIONS":
            await guarded({"type": "http.response.start", "status": 204, "headers": []})
            await guarded({"type": "http.response.body", "body": b""})
            return
        await self._app({**scope, "method": "GET", "path": path}, receive, guarded)

    def _let_in(self, scope: Scope, headers: dict[str, str], extra: dict[str, str]) -> str:
        """The path that is asked for; `extra` grows by headers of the answer. Raises `Refusal`."""
        _refuse_odd_request(scope, headers)
        if not _safely(self._policy.knows_host, headers.get("host", "")):
            raise Refusal(
                421, "this is not an address of the viewer", "Open the address that `histoloom view` printed."
            )
        path, by_name = self._strip_store_token(scope["path"])
        origin = headers.get("origin")
        foreign = _STORE_PATH.match(path) is not None
        if origin is not None and foreign and self._policy.allows_origin(origin):
            extra |= _cors(origin)
        if scope["method"] == "OPTIONS":
            if "access-control-allow-origin" not in extra:
                raise _wrong_method()
            return path  # a preflight carries no cookie, and tells nothing
        if not by_name:
            self._demand_token(scope, headers, extra)
        return path

    def _strip_store_token(self, path: str) -> tuple[str, bool]:
        token = self._policy.store_token
        if not path.startswith(STORE_PREFIX):
            return path, False
        given, _, rest = path.removeprefix(STORE_PREFIX).partition("/")
        if token is None or not _same(given, token) or not rest.startswith("files/"):
            raise Refusal(404, "there is nothing here", "Open the address that `histoloom view` printed.")
        return f"/{rest}", True

    def _demand_token(self, scope: Scope, headers: dict[str, str], extra: dict[str, str]) -> None:
        token, cookie = self._policy.token, self._policy.cookie
        if token is None or _same(_cookie(headers.get("cookie", ""), cookie), token):
            return
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=64).get("token", [""])
        if not _same(given[0], token):
            cure = "Open the whole address that `histoloom view` printed, with ?token= and what follows."
            raise Refusal(401, "this viewer asks for a token", cure)
        extra["set-cookie"] = f"{cookie}={token}; Path=/; HttpOnly; SameSite=Lax"


_ALWAYS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def _cors(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "Range, If-None-Match",
        "access-control-expose-headers": "Content-Length, Content-Range, Accept-Ranges, ETag, Content-Encoding",
        "access-control-allow-private-network": "true",
        "access-control-max-age": "600",
        "cross-origin-resource-policy": "cross-origin",
        "vary": "Origin",
    }


def _refuse_odd_request(scope: Scope, headers: dict[str, str]) -> None:
    if scope["method"] not in {"GET", "HEAD", "OPTIONS"}:
        raise _wrong_method()
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Refusal(413, "the viewer takes no content", "Ask with GET.", [("connection", "close")])
    if len(scope["raw_path"]) > _MOST_TARGET or len(scope["query_string"]) > _MOST_QUERY:
        raise Refusal(414, "the address is too long", "Open the address that `histoloom view` printed.")
    if "\0" in scope["path"]:
        raise Refusal(404, "there is nothing here", "Open the address that `histoloom view` printed.")


def _wrong_method() -> Refusal:
    return Refusal(405, "the viewer only shows", "Ask with GET or HEAD.", [("allow", "GET, HEAD")])


def _safely(check: Any, value: str) -> bool:
    try:
        return bool(check(value))
    except ValueError:  # brackets that hold no address
        return False


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _cookie(header: str, name: str) -> str:
    """The value of a cookie. Others may hold anything: a browser sends those of all ports, and `http.cookies` gives up
    on the whole header at the first that it does not like.
    """
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return next((value for key, _, value in pairs if key == name), "")


class _Sender:
    """Adds headers to an answer."""

    def __init__(self, send: Send, extra: dict[str, str]) -> None:
        self._send, self._extra = send, extra

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            added = [(name.encode(), value.encode("latin-1")) for name, value in self._extra.items()]
            message = {**message, "headers": [*message["headers"], *(pair for pair in added if pair[0] not in there)]}
        await self._send(message)

    async def refuse(self, refusal: Refusal, accept: str) -> None:
        media_type, body = refusal.written(accept)
        told = [*refusal.headers, ("content-type", media_type), ("content-length", str(len(body)))]
        headers = [(name.encode(), value.encode()) for name, value in told]
        await self({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})
