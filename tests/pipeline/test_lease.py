"""One writer a slide, among processes that share nothing but a real S3 server."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from pipeline.bucket import Bucket
from pipeline.errors import StoreBusy
from pipeline.lease import Lease, LeaseTimes, hold_lease, owner_of
from pipeline.object_url import ObjectUrl
from tests.fault_proxy import FaultProxy
from tests.s3_server import S3Server

# Renewed often; judged slowly, as the tests' machine may be busy.
BRISK = LeaseTimes(renew_s=0.3, fresh_s=60.0)
# Looks at every lease as at an old one.
WATCHING = LeaseTimes(renew_s=0.3, fresh_s=-3600.0, watch_s=4.0)


@pytest.fixture
def url(s3: S3Server) -> ObjectUrl:
    return ObjectUrl("s3", s3.new_bucket(), "results/.partial/a/lock.json")


def left_behind(url: ObjectUrl, owner: str) -> None:
    """A lease whose holder was killed."""
    Bucket(url).put(url.key, json.dumps({"owner": owner, "host": "worker-7", "process": 4242}).encode())


def until_lost(lease: Lease) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lease.check()
        time.sleep(0.05)


def test_a_second_writer_is_refused_in_two_lines_until_the_first_is_through(url: ObjectUrl) -> None:
    with hold_lease(url, "first", BRISK) as lease:
        time.sleep(1.0)  # long enough to be renewed
        with pytest.raises(StoreBusy, match="another run is working on this slide: process") as caught:
            hold_lease(url, "second", BRISK).__enter__()
        assert len(str(caught.value).splitlines()) == 2
        lease.check()
    with hold_lease(url, "second", BRISK):
        pass
    assert Bucket(url).head(url.key) is None


def test_of_many_who_come_at_once_one_gets_it(url: ObjectUrl, proxy: FaultProxy) -> None:
    proxy.one_at_a_time = True
    everybody_tried = Barrier(8)

    def attempt(number: int) -> bool:
        try:
            with hold_lease(url, f"machine {number}"):
                everybody_tried.wait(timeout=120)
        except StoreBusy:
            everybody_tried.wait(timeout=120)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_a_dead_process_of_this_machine_is_in_nobodys_way(url: ObjectUrl, tmp_path: Path) -> None:
    owner = owner_of(tmp_path / "results")
    left_behind(url, owner)
    began = time.monotonic()
    with hold_lease(url, owner_of(tmp_path / "results"), LeaseTimes()) as lease:
        lease.check()
    assert time.monotonic() - began < 60  # the full times would be waited out for a stranger


def test_a_dead_machine_is_waited_for_and_then_taken_over_from(url: ObjectUrl) -> None:
    left_behind(url, "a machine that is gone")
    with pytest.raises(StoreBusy, match="process 4242 on 'worker-7'"):
        hold_lease(url, "me", BRISK).__enter__()
    with hold_lease(url, "me", WATCHING):
        assert b'"owner": "me"' in (Bucket(url).read(url.key) or (b"",))[0]


def test_a_living_holder_with_a_slow_clock_is_not_taken_over_from(url: ObjectUrl) -> None:
    with hold_lease(url, "first", BRISK), pytest.raises(StoreBusy):
        hold_lease(url, "second", WATCHING).__enter__()


def test_a_holder_that_was_taken_over_from_writes_no_more(url: ObjectUrl) -> None:
    with hold_lease(url, "first", LeaseTimes(renew_s=0.2)) as lease:
        left_behind(url, "second")
        with pytest.raises(StoreBusy, match="lost to another process"):
            until_lost(lease)
    assert Bucket(url).head(url.key) is not None  # what is another's stays


def test_a_holder_who_cannot_renew_stops_by_itself(url: ObjectUrl, proxy: FaultProxy) -> None:
    with hold_lease(url, "first", LeaseTimes(renew_s=0.1, fresh_s=3.0)) as lease:
        lease.check()
        proxy.add("PUT", "status", times=10_000, status=403, code="AccessDenied")
        time.sleep(4.0)
        with pytest.raises(StoreBusy, match="not renewed for too long"):
            lease.check()


def test_a_renewal_whose_answer_was_lost_is_no_loss(url: ObjectUrl, proxy: FaultProxy) -> None:
    with hold_lease(url, "first", LeaseTimes(renew_s=0.2)) as lease:
        lost = proxy.add("PUT", "lost", times=1)
        time.sleep(2.0)
        assert lost.met == 1
        lease.check()


def test_who_was_taken_over_from_without_knowing_it_does_not_take_the_lease_away(url: ObjectUrl) -> None:
    slow = LeaseTimes(renew_s=600.0)
    lease = hold_lease(url, "first", slow)
    lease.__enter__()
    left_behind(url, "second")
    lease.__exit__(None, None, None)
    assert Bucket(url).head(url.key) is not None
