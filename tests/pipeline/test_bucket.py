"""What a bucket does and says, against a real S3 server, over a network that fails."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.bucket import Bucket, ObjectFacts, Patience
from pipeline.errors import HistoloomError, ResourceLost, StorageRefused
from pipeline.object_url import ObjectUrl
from tests.fault_proxy import FaultProxy, Kind
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

QUICK = Patience(timeout_s=1.0, connect_s=1.0, retries=4, retry_s=20.0)


@pytest.fixture
def bucket(s3: S3Server, proxy: FaultProxy) -> Bucket:
    return Bucket(ObjectUrl("s3", s3.new_bucket(), ""), QUICK)


def facts(bucket: Bucket, key: str) -> ObjectFacts:
    found = bucket.head(key)
    assert found is not None
    return found


def refusal(error: HistoloomError) -> str:
    """What a person reads: two lines, and nothing in them that opens a door."""
    text = str(error)
    assert len(text.splitlines()) == 2, text
    assert SECRET_KEY not in text
    assert ACCESS_KEY not in text
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__  # a traceback does not show it either
    return text


def test_what_is_put_is_read_listed_and_deleted(bucket: Bucket, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(17 * 2**20))  # more than one part
    bucket.put("cohort/a/large.bin", large)
    etag = bucket.put("cohort/a/été 1+1.txt", b"three")
    assert bucket.read("cohort/a/été 1+1.txt") == (b"three", facts(bucket, "cohort/a/été 1+1.txt"))
    assert facts(bucket, "cohort/a/été 1+1.txt").etag == etag
    there = facts(bucket, "cohort/a/large.bin")
    content = b"".join(
        bucket.read_range(there, at, min(2**23, there.bytes - at)) for at in range(0, there.bytes, 2**23)
    )
    assert hashlib.sha256(content).digest() == hashlib.sha256(large.read_bytes()).digest()
    assert bucket.list_folder("cohort/") == (["a"], [])
    assert {entry.key: entry.bytes for entry in bucket.list_under("cohort/")} == {
        "cohort/a/large.bin": 17 * 2**20, "cohort/a/été 1+1.txt": 5,
    }  # fmt: skip
    bucket.delete(["cohort/a/large.bin", "cohort/a/nothing-here"])
    assert bucket.head("cohort/a/large.bin") is None
    assert bucket.read("cohort/a/large.bin") is None


def test_of_two_who_create_an_object_one_is_told_no(bucket: Bucket) -> None:
    etag = bucket.create("lock", b"first")
    assert etag is not None
    assert bucket.create("lock", b"second") is None
    newer = bucket.replace("lock", b"first again", etag)
    assert newer is not None
    assert bucket.replace("lock", b"late", etag) is None
    content, _ = bucket.read("lock") or (b"", None)
    assert content == b"first again"


def test_what_is_gone_is_not_replaced(bucket: Bucket) -> None:
    etag = bucket.create("lock", b"first")
    assert etag is not None
    bucket.delete(["lock"])
    assert bucket.replace("lock", b"late", etag) is None
    assert bucket.read("lock") is None


def test_a_listing_that_is_cut_off_is_asked_for_again(bucket: Bucket, proxy: FaultProxy) -> None:
    bucket.put("a/b", b"1")
    cut = proxy.add("GET .*list-type", "cut", times=2)
    assert [entry.key for entry in bucket.list_under("a/")] == ["a/b"]
    assert cut.met == 2


def test_who_lost_the_answer_to_a_creation_still_knows_that_it_was_theirs(bucket: Bucket, proxy: FaultProxy) -> None:
    lost = proxy.add("PUT .*/lock", "lost")
    assert bucket.create("lock", b"mine") is not None
    assert lost.met == 1


def test_an_object_that_changed_is_not_read_on(bucket: Bucket) -> None:
    bucket.put("slide.svs", b"0123456789")
    before = facts(bucket, "slide.svs")
    bucket.put("slide.svs", b"9876543210")
    with pytest.raises(ResourceLost, match="changed while it was read"):
        bucket.read_range(before, 2, 4)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("status", 503, "SlowDown"),
        ("status", 500, "InternalError"),
        ("cut", 0, ""),
        ("lost", 0, ""),
        ("silence", 0, ""),
    ],
)
def test_a_few_faults_are_lived_through(bucket: Bucket, proxy: FaultProxy, kind: Kind, status: int, code: str) -> None:
    content = os.urandom(300_000)
    bucket.put("a", content)
    fault = proxy.add("GET .*/a", kind, times=2, status=status, code=code, seconds=1.5 if kind == "silence" else 0)
    assert bucket.read_range(facts(bucket, "a"), 1000, 200_000) == content[1000:201_000]
    assert fault.met == 2
    if kind != "cut":  # which cuts answers short, and those to a PUT are empty
        fault = proxy.add("PUT .*/b", kind, times=2, status=status, code=code, seconds=1.5 if kind == "silence" else 0)
        bucket.put("b", content)
        assert fault.met == 2
        assert bucket.read("b") == (content, facts(bucket, "b"))


@pytest.mark.parametrize("kind", ["status", "cut", "silence"])
def test_a_store_that_stays_broken_is_an_error_of_two_lines_that_another_try_may_mend(
    bucket: Bucket, proxy: FaultProxy, kind: Kind
) -> None:
    bucket.put("a", b"x" * 1000)
    there = facts(bucket, "a")
    proxy.add("GET .*/a", kind, times=1000, status=503, seconds=1.2)
    with pytest.raises(ResourceLost) as caught:
        bucket.read_range(there, 0, 1000)
    assert "/a: " in refusal(caught.value)


def test_a_bucket_that_is_not_there_is_named(s3: S3Server) -> None:
    bucket = Bucket(ObjectUrl("s3", "nowhere", ""), QUICK)
    for deed in (lambda: bucket.list_under("x/"), lambda: bucket.read("x"), lambda: bucket.put("x", b"1")):
        with pytest.raises(StorageRefused) as caught:
            deed()
        assert "there is no bucket nowhere" in refusal(caught.value)


def test_a_denial_is_said_once_and_without_secrets(bucket: Bucket, proxy: FaultProxy) -> None:
    denial = proxy.add("PUT .*/a", "status", times=100, status=403, code="AccessDenied")
    with pytest.raises(StorageRefused) as caught:
        bucket.put("a", b"1")
    assert "403 AccessDenied" in refusal(caught.value)
    assert denial.met == 1


def test_without_credentials_nothing_is_asked_of_the_store(
    s3: S3Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageRefused) as caught:
        Bucket(ObjectUrl("s3", "any", ""))
    assert "no credentials" in refusal(caught.value)
    assert proxy.requests == []


def test_a_profile_of_the_aws_command_opens_the_bucket(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[lab]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    Bucket(ObjectUrl("s3", s3.new_bucket(), ""), QUICK).put("a", b"1")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(StorageRefused) as caught:
        Bucket(ObjectUrl("s3", "any", ""), QUICK)
    assert "ProfileNotFound" in refusal(caught.value)


def test_a_store_where_nobody_answers_is_an_error_of_two_lines(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ResourceLost) as caught:
        Bucket(ObjectUrl("s3", "any", ""), QUICK).read("a")
    refusal(caught.value)
