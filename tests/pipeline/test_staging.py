"""Slides from a real S3 server on disk: whole or not at all, within the room given, never taken from who reads them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.bucket import Bucket
from pipeline.errors import ResourceLost, SlideError, UnreadableSlide
from pipeline.object_url import ObjectUrl
from pipeline.staging import GIB, Staging
from tests.fault_proxy import FaultProxy
from tests.s3_server import S3Server

KIB = 1024


@pytest.fixture
def folder_url(s3: S3Server) -> ObjectUrl:
    return ObjectUrl("s3", s3.new_bucket(), "slides")


def put(folder: ObjectUrl, name: str, size: int) -> tuple[ObjectUrl, bytes]:
    url, content = folder / name, os.urandom(size)
    Bucket(url).put(url.key, content)
    return url, content


def room(tmp_path: Path, size: int) -> Staging:
    return Staging(tmp_path / "staging", size / GIB)


def names(staging: Staging) -> set[str]:
    return {path.name for path in staging.slides.glob("*/*")}


def test_a_slide_is_fetched_once_and_has_the_bytes_and_the_time_of_the_object(
    folder_url: ObjectUrl, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, content = put(folder_url, "a.svs", 20 * KIB * KIB)  # several ranges
    staging = room(tmp_path, GIB)
    with FaultProxy((s3.host, s3.port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        cut = proxy.add("GET .*a.svs", "cut", times=2)
        for _ in range(2):
            with staging.hold(url) as (path, facts):
                assert path.name == "a.svs"
                assert path.read_bytes() == content
                assert path.stat().st_mtime == facts.modified.timestamp()
        assert cut.met == 2
        assert sum(request.startswith("GET") for request in proxy.requests) == 3 + 2


def test_a_changed_object_is_fetched_anew(folder_url: ObjectUrl, tmp_path: Path) -> None:
    url, first = put(folder_url, "a.svs", 100)
    staging = room(tmp_path, GIB)
    with staging.hold(url) as (old, _):
        _, second = put(folder_url, "a.svs", 100)
        with staging.hold(url) as (new, _):
            assert (old.read_bytes(), new.read_bytes()) == (first, second)


def test_what_was_not_used_for_longest_goes_first(folder_url: ObjectUrl, tmp_path: Path) -> None:
    staging = room(tmp_path, 250 * KIB)
    a, b, c = (put(folder_url, name, 100 * KIB)[0] for name in ("a.svs", "b.svs", "c.svs"))
    for url in (a, b, a, c):
        with staging.hold(url):
            time.sleep(0.02)  # the clock of file times is coarse
    assert names(staging) == {"a.svs", "c.svs"}


def test_a_slide_in_use_is_never_thrown_out(folder_url: ObjectUrl, tmp_path: Path) -> None:
    staging = room(tmp_path, 250 * KIB)
    a, b, c = (put(folder_url, name, 100 * KIB)[0] for name in ("a.svs", "b.svs", "c.svs"))
    with staging.hold(a) as (path, _):
        with staging.hold(b), pytest.raises(ResourceLost, match="find no room"), staging.hold(c):
            pass
        with staging.hold(c):
            assert names(staging) == {"a.svs", "c.svs"}
        assert path.stat().st_size == 100 * KIB


def test_results_that_want_room_get_that_of_slides_nobody_uses(folder_url: ObjectUrl, tmp_path: Path) -> None:
    staging = room(tmp_path, GIB)
    a, b = (put(folder_url, name, 100 * KIB)[0] for name in ("a.svs", "b.svs"))
    with staging.hold(a):
        pass
    staging.make_room(1)
    assert names(staging) == {"a.svs"}  # there is room
    with staging.hold(b):
        staging.make_room(2**62)
        assert names(staging) == {"b.svs"}
    room(tmp_path / "none", GIB).make_room(2**62)


def test_a_slide_larger_than_the_room_is_refused_with_the_room_it_needs(folder_url: ObjectUrl, tmp_path: Path) -> None:
    url, _ = put(folder_url, "a.svs", 300 * KIB)
    with pytest.raises(SlideError, match="--staging-gib 1 or more"), room(tmp_path, 250 * KIB).hold(url):
        pass


def test_a_slide_that_is_not_there_is_said_to_be_so(folder_url: ObjectUrl, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide, match=r"gone\.svs: there is no such object"):
        room(tmp_path, GIB).hold(folder_url / "gone.svs").__enter__()
    with pytest.raises(UnreadableSlide, match="one file of several"):
        room(tmp_path, GIB).hold(folder_url / "a.mrxs").__enter__()


def test_many_who_want_one_slide_fetch_it_once(
    folder_url: ObjectUrl, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, content = put(folder_url, "a.svs", 300 * KIB)

    def read(_: int) -> bytes:
        with room(tmp_path, 400 * KIB).hold(url) as (path, facts):
            assert facts.bytes == len(content)
            return path.read_bytes()

    with FaultProxy((s3.host, s3.port)) as proxy, ThreadPoolExecutor(6) as pool:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.add("GET", "slow", times=10, seconds=0.2)
        assert set(pool.map(read, range(6))) == {content}
        assert sum(request.startswith("GET") for request in proxy.requests) == 1


def test_a_kill_while_fetching_leaves_nothing_that_is_in_the_way(
    folder_url: ObjectUrl, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, content = put(folder_url, "a.svs", 20 * KIB * KIB)
    staging = room(tmp_path, 30 * KIB * KIB)
    code = (
        "from pathlib import Path; from pipeline.staging import Staging; from pipeline.object_url import parse_place;"
        f"Staging(Path({str(staging.folder)!r}), {staging.slides_gib!r}).hold(parse_place({str(url)!r})).__enter__()"
    )
    with FaultProxy((s3.host, s3.port)) as proxy:
        proxy.add("GET .*a.svs", "slow", times=100, seconds=30)
        environment = {**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint}
        process = subprocess.Popen([sys.executable, "-c", code], env=environment)
        while not any(request.startswith("GET") for request in proxy.requests):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert names(staging) == {".a.svs"}
    with staging.hold(url) as (path, _):
        assert path.read_bytes() == content
    assert names(staging) == {"a.svs"}
