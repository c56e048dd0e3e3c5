"""What the viewer refuses: everything outside the folder, other sites, other methods, absurd and slow requests."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flows.view_guard import VIEWERS
from flows.view_ranges import asked_range
from flows.view_server import Address
from tests.flows.viewing import Viewer, serving, slide_url
from tests.pipeline.finished_slide import make_slide

SECRET = b"nobody outside may read this"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide, secrets beside the folder, and links from inside the folder to them."""
    place = tmp_path_factory.mktemp("guard")
    (place / "secret.txt").write_bytes(SECRET)
    (place / "elsewhere").mkdir()
    make_slide(place / "elsewhere", "stranger")
    root = place / "results"
    make_slide(root, "slide")
    (root / "slide" / "report.html").write_text("<p>report</p>")
    (root / "notes.txt").write_bytes(SECRET)
    (root / "report.html").symlink_to(place / "secret.txt")
    (root / "slide" / "notes.txt").write_bytes(SECRET)
    linked = make_slide(root, "linked")
    (linked / "preview.png").symlink_to(place / "secret.txt")
    (linked / "report.html").symlink_to("../../secret.txt")
    shutil.rmtree(linked / "linked.ome.zarr" / "0")
    (linked / "linked.ome.zarr" / "0").symlink_to(place / "elsewhere" / "stranger" / "stranger.ome.zarr" / "0")
    (root / "stranger").symlink_to(place / "elsewhere" / "stranger")
    (root / "again").symlink_to(root / "slide")
    (root / "up").symlink_to(place)
    (place / "reason.json").write_text('{"what": "nobody outside may read this"}')
    (root / ".partial" / "failed").mkdir(parents=True)
    (root / ".partial" / "failed" / "failed.json").symlink_to(place / "reason.json")
    (linked / "linked.ome.zarr" / "labels").rename(place / "labels")
    (linked / "linked.ome.zarr" / "labels").symlink_to(place / "labels")
    os.mkfifo(root / "slide" / "preview.png")
    return root


@pytest.fixture(scope="module")
def viewer(folder: Path) -> Iterator[Viewer]:
    with serving(folder) as viewer:
        yield viewer


TRAVERSALS = [
    "/files/slide/../../secret.txt", "/files/slide/..%2f..%2fsecret.txt", "/files/slide/%2e%2e/%2e%2e/secret.txt",
    "/files/slide/slide.ome.zarr/../../../secret.txt", "/files/slide/slide.ome.zarr/%2e%2e/%2e%2e/%2e%2e/secret.txt",
    "/files/slide/slide.ome.zarr/..%2f..%2f..%2fsecret.txt", "/files/slide/slide.ome.zarr/..%252f..%252fsecret.txt",
    "/files/slide/slide.ome.zarr/..\\..\\..\\secret.txt", "/files/slide/slide.ome.zarr//../secret.txt",
    "/files/slide/slide.ome.zarr/./../notes.txt", "/files/..%2f/secret.txt", "/files/%2e%2e/secret.txt",
    "/files/.partial/x", "/files//etc/passwd", "/files/slide//etc/passwd", "/files/slide/slide.ome.zarr//etc/passwd",
    "/files/slide/slide.ome.zarr/%00/../../../secret.txt", "/files/slide/slide.ome.zarr/zarr.json%00.png",
    "/files/slide/notes.txt", "/files/notes.txt", "/files/slide/preview.png", "/files/up/secret.txt",
    "/files/report.html", "/files/cohort.parquet",
    "/files/linked/preview.png", "/files/linked/report.html", "/files/linked/linked.ome.zarr/0/zarr.json",
    "/files/stranger/run.json", "/files/stranger/stranger.ome.zarr/zarr.json", "/assets/../view_app.py",
    "/assets/%2e%2e/%2e%2e/view_app.py", "/assets/..%2f..%2fview_app.py", "/api/slides/..%2f..%2felsewhere%2fstranger",
    "/api/slides/stranger", "/api/slides/..", "/api/slides/%2e%2e", "/api/slides/up", "/files/slide/" + "a/" * 600,
    "/files/slide/slide.ome.zarr/%ff%fe/zarr.json", "/files/%c0%ae%c0%ae/secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("target", TRAVERSALS)
def test_nothing_outside_the_results_is_read(viewer: Viewer, target: str) -> None:
    answer = viewer.ask(target)
    assert answer.status in {400, 404, 414}, answer.body[:200]
    assert SECRET not in answer.body
    assert b"root:" not in answer.body


def test_pixels_behind_a_link_that_leads_out_are_not_shown(viewer: Viewer) -> None:
    answer = viewer.ask(slide_url("linked", "tiles", "image", 1, "0_0"))
    assert answer.status == 404
    assert "leads out" in answer.json()["error"]


def test_a_link_that_stays_inside_is_followed(viewer: Viewer, folder: Path) -> None:
    assert viewer.ask("/files/again/run.json").body == (folder / "slide" / "run.json").read_bytes()


def test_no_slide_outside_is_listed(viewer: Viewer) -> None:
    listed = {row["id"] for row in viewer.ask("/api/cohort").json()["slides"]}
    assert {"stranger", "up"} & listed == set()
    assert {"slide", "linked", "failed"} <= listed
    assert SECRET not in viewer.ask("/api/cohort").body
    assert "tissue" not in {layer["id"] for layer in viewer.ask("/api/slides/linked").json()["layers"]}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_it_only_shows(viewer: Viewer, method: str) -> None:
    answer = viewer.ask("/api/cohort", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8300", "127.0.0.1.evil.example", "localhost.evil", "",
                                  "[::1", "a@b", "\xe9", "localhost@evil.example:1"])  # fmt: skip
def test_another_name_that_leads_here_is_not_answered(viewer: Viewer, host: str) -> None:
    answer = viewer.ask("/api/cohort", Host=host)
    assert answer.status in {400, 421}
    assert b"slide" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1", "[::1]:8300", "LOCALHOST"])
def test_this_machines_own_names_are(viewer: Viewer, host: str) -> None:
    assert viewer.ask("/api/cohort", Host=host).status == 200


def test_every_answer_carries_a_strict_policy(viewer: Viewer) -> None:
    for target in ("/", "/api/cohort", "/nowhere", "/api/slides/none", "/files/slide/run.json", "/assets/none.js"):
        headers = viewer.ask(target).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    report = viewer.ask("/files/slide/report.html").headers["content-security-policy"]
    assert report.startswith("sandbox")
    assert "script-src" not in report
    assert "allow-scripts" not in report
    assert "allow-same-origin" not in report


def test_absurd_requests_are_refused_before_they_cost_anything(viewer: Viewer) -> None:
    assert viewer.ask("/" + "a" * 5000).status == 414
    assert viewer.ask("/api/cohort?" + "a=b&" * 1000).status == 414
    assert viewer.ask("/api/cohort", Content_Length="1000000000").status == 413
    assert viewer.ask("/api/cohort", Transfer_Encoding="chunked").status == 413
    assert b" 400 " in viewer.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000).split(b"\r\n")[0]
    assert b" 400 " in viewer.raw(b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n").split(b"\r\n")[0]
    assert viewer.ask("/api/cohort").status == 200


def test_clients_that_send_slowly_stop_nobody(viewer: Viewer) -> None:
    slow = [socket.create_connection(("127.0.0.1", viewer.port)) for _ in range(300)]
    try:
        for connection in slow:
            connection.sendall(b"GET /api/cohort HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        begin = time.monotonic()
        for _ in range(3):
            assert viewer.ask("/api/cohort").status == 200
        assert time.monotonic() - begin < 5
        slow[0].settimeout(10)
        with suppress(ConnectionResetError):  # the oldest made room
            assert slow[0].recv(1) == b""
    finally:
        for connection in slow:
            connection.close()


def test_a_request_that_never_ends_is_given_up(viewer: Viewer) -> None:
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=30) as connection:
        begin = time.monotonic()
        connection.sendall(b"GET /api/cohort HTTP/1.1\r\n")
        received = b"more"
        while received and time.monotonic() - begin < 25:
            try:
                connection.sendall(b"X: y\r\n")
                connection.settimeout(1)
                received = connection.recv(1)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 5 < time.monotonic() - begin < 20


def test_clients_that_read_slowly_stop_nobody(viewer: Viewer) -> None:
    slow = [socket.create_connection(("127.0.0.1", viewer.port)) for _ in range(40)]
    try:
        for connection in slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall(b"GET /files/slide/slide.ome.zarr/0/c/0/0/0 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        assert viewer.ask("/api/cohort").status == 200
        assert viewer.ask(slide_url("slide", "tiles", "image", 0, "0_0")).status == 200
    finally:
        for connection in slow:
            connection.close()


def sockets() -> int:
    """Sockets of this process, which serves and asks."""
    links = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            links.append(str(handle.readlink()))
    return sum(link.startswith("socket:") for link in links)


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_a_client_that_takes_nothing_of_an_answer_is_let_go(
    viewer: Viewer, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], close: bytes
) -> None:
    monkeypatch.setattr("flows.view_server._STALLED_S", 1.0)
    large = folder / "slide" / "slide.ome.zarr" / "large"
    with large.open("wb") as file:
        file.truncate(64 << 20)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", viewer.port))
        connection.sendall(b"GET /files/slide/slide.ome.zarr/large HTTP/1.1\r\nHost: localhost\r\n" + close + b"\r\n")
        time.sleep(0.5)
        before, begin = sockets(), time.monotonic()
        while sockets() >= before and time.monotonic() - begin < 15:
            time.sleep(0.2)
        assert sockets() < before, "the server keeps the connection"
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture(scope="module")
def locked(folder: Path) -> Iterator[Viewer]:
    """A server that asks for a token, as one for other machines does."""
    with serving(folder, Address(port=0, token=True)) as viewer:
        yield viewer


def test_without_its_token_a_server_for_others_tells_nothing(locked: Viewer) -> None:
    for target in ("/", "/api/cohort", "/api/cohort?token=", "/api/cohort?token=wrong", "/assets/x.js",
                   "/files/slide/run.json", "/with/wrong/files/slide/run.json", "/with//files/slide/run.json",
                   f"/with/{locked.token}/files/slide/run.json"):  # fmt: skip
        assert locked.ask(target).status in {401, 404}, target
    assert locked.ask("/api/cohort", Cookie="histoloom=wrong; x").status == 401


def test_a_token_shown_once_is_kept_as_a_cookie_that_scripts_cannot_read(locked: Viewer) -> None:
    first = locked.ask(f"/api/cohort?token={locked.token}")
    assert first.status == 200
    cookie, *attributes = first.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert locked.ask("/api/cohort", Cookie=cookie).status == 200
    assert "set-cookie" not in locked.ask("/api/cohort", Cookie=cookie).headers


def test_cookies_of_other_programs_do_not_hide_the_token(locked: Viewer) -> None:
    """A browser sends the cookies of every port of this machine, in the order that they were made."""
    own = locked.ask(f"/?token={locked.token}").headers["set-cookie"].partition(";")[0]
    for other in ('theme={"dark": true}', "a=b=c", "odd", "\xe9=\xe9", "=", 'q="un; ended'):
        assert locked.ask("/api/cohort", Cookie=f"{other}; {own}").status == 200, other
        assert locked.ask("/api/cohort", Cookie=f"{own};{other}").status == 200, other
    assert locked.ask("/api/cohort", Cookie=f"x{own}; theme={own}").status == 401


def test_who_opens_an_address_without_the_token_reads_two_lines(locked: Viewer) -> None:
    answer = locked.ask("/", Accept="text/html,*/*")
    assert (answer.status, answer.headers["content-type"]) == (401, "text/plain; charset=utf-8")
    assert len(answer.body.decode().splitlines()) == 2
    assert locked.ask("/api/cohort").json().keys() == {"error", "cure"}


def test_a_store_has_an_address_that_programs_without_cookies_can_use(locked: Viewer) -> None:
    cookie = locked.ask(f"/?token={locked.token}").headers["set-cookie"].partition(";")[0]
    store = locked.ask(slide_url("slide"), Cookie=cookie).json()["links"]["store"]
    target = store.removeprefix(f"http://127.0.0.1:{locked.port}")
    assert locked.ask(f"{target}/zarr.json").json()["zarr_format"] == 3
    assert locked.token not in store
    assert locked.ask(target.partition("/files/")[0] + "/api/cohort").status == 404


def test_a_server_for_other_machines_always_asks_for_a_token(folder: Path) -> None:
    with serving(folder, Address("0.0.0.0", 0)) as viewer:
        assert len(viewer.token) >= 32
        assert viewer.ask("/api/cohort").status == 401
        assert viewer.ask(f"/api/cohort?token={viewer.token}").status == 200


STORE = "/files/slide/slide.ome.zarr/0/zarr.json"


def test_viewers_of_other_sites_may_read_stores_and_nothing_else(viewer: Viewer) -> None:
    for origin in (*VIEWERS, "http://localhost:3000", "http://127.0.0.1:9000"):
        headers = viewer.ask(STORE, Origin=origin).headers
        assert headers["access-control-allow-origin"] == origin
        assert "Content-Range" in headers["access-control-expose-headers"]
        preflight = viewer.ask(STORE, "OPTIONS", Origin=origin, Access_Control_Request_Headers="range")
        assert preflight.status == 204
        assert "Range" in preflight.headers["access-control-allow-headers"]
        for target in ("/api/cohort", "/files/slide/run.json", "/"):
            assert "access-control-allow-origin" not in viewer.ask(target, Origin=origin).headers
    for origin in ("https://evil.example", "null", "https://localhost.evil.example", "http://[", "file://"):
        assert "access-control-allow-origin" not in viewer.ask(STORE, Origin=origin).headers
        assert viewer.ask(STORE, "OPTIONS", Origin=origin).status == 405


def test_a_slide_that_is_called_like_a_store_is_none(folder: Path) -> None:
    make_slide(folder.parent / "named", "odd.ome.zarr")
    with serving(folder.parent / "named") as viewer:
        for path, readable in (("run.json", False), ("odd.ome.zarr.ome.zarr/zarr.json", True)):
            answer = viewer.ask(f"/files/odd.ome.zarr/{path}", Origin=VIEWERS[0])
            assert answer.status == 200
            assert ("access-control-allow-origin" in answer.headers) == readable, path


def test_nothing_in_a_store_is_served_as_a_page(viewer: Viewer, folder: Path) -> None:
    (folder / "slide" / "slide.ome.zarr" / "page.html").write_text("<p>page</p>")
    headers = viewer.ask("/files/slide/slide.ome.zarr/page.html").headers
    assert headers["content-type"] == "application/octet-stream"
    assert viewer.ask("/files/slide/report.html").headers["content-type"].startswith("text/html")


def test_a_part_of_what_is_no_more_is_not_gone_on_with(viewer: Viewer, folder: Path) -> None:
    target, whole = "/files/slide/run.json", (folder / "slide" / "run.json").read_bytes()
    tag = viewer.ask(target).headers["etag"]
    assert viewer.ask(target, Range="bytes=5-", If_Range=tag).body == whole[5:]
    assert viewer.ask(target, Range="bytes=5-", If_Range='"another"').body == whole


def test_a_chunk_is_read_in_ranges(viewer: Viewer, folder: Path) -> None:
    whole = (folder / "slide/slide.ome.zarr/0/c/0/0/0").read_bytes()
    target, size = "/files/slide/slide.ome.zarr/0/c/0/0/0", len(whole)
    for header, part in (("bytes=0-9", whole[:10]), ("bytes=-20", whole[-20:]), ("bytes=5-", whole[5:]),
                         (f"bytes=3-{size + 99}", whole[3:])):  # fmt: skip
        answer = viewer.ask(target, Range=header)
        assert (answer.status, answer.body) == (206, part)
        begin = whole.index(part)
        assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(part) - 1}/{size}"
    assert viewer.ask(target, Range=f"bytes={size}-").status == 416
    assert viewer.ask(target, Range="bytes=-0").status == 416
    for header in ("bytes=2-1", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b", f"bytes={'9' * 400}-"):
        assert (viewer.ask(target, Range=header).status, viewer.ask(target, Range=header).body) == (200, whole)
    assert viewer.ask("/files/slide/slide.ome.zarr/0/c/0/9/9").status == 404  # an absent chunk


@pytest.mark.parametrize(
    ("header", "size", "wanted"),
    [
        (None, 5, range(5)),
        (None, 0, range(0)),
        ("bytes=0-0", 1, range(1)),
        ("bytes=-9", 4, range(4)),
        ("bytes=4-", 4, None),
    ],
)
def test_ranges_at_the_ends(header: str | None, size: int, wanted: range | None) -> None:
    assert asked_range(header, size) == wanted
