"""A bucket as an inbox, on a real S3 server: an object is whole when it is there, and is known by its contents."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.inbox_bucket import BucketInbox
from pipeline.bucket import Bucket
from pipeline.errors import StorageRefused
from pipeline.object_url import ObjectUrl
from pipeline.staging import Staging
from pipeline.synthetic import SyntheticTruth
from tests.s3_server import S3Server

INGEST_ALONE = 'sr = "none"\nnuclei = "none"\nclassifiers = []\n'


@pytest.fixture
def url(s3: S3Server) -> ObjectUrl:
    return ObjectUrl("s3", s3.new_bucket(), "incoming")


@pytest.fixture
def inbox(url: ObjectUrl, tmp_path: Path) -> BucketInbox:
    return BucketInbox(url, Staging(tmp_path / "staging"))


def put(url: ObjectUrl, name: str, content: bytes) -> str:
    place = url / name
    Bucket(url).put(place.key, content)
    return str(place)


def test_slides_under_the_prefix_are_found_and_nothing_else(inbox: BucketInbox) -> None:
    for name in ("a.svs", "day 1/b.tiff", "notes.txt", ".hidden/c.svs", ".d.svs"):
        put(inbox.url, name, b"x")
    put(ObjectUrl("s3", inbox.url.bucket, "incoming-too"), "e.svs", b"x")
    assert [sighting.source for sighting in inbox.look()] == [str(inbox.url / "a.svs"), str(inbox.url / "day 1/b.tiff")]


def test_an_object_that_is_written_anew_has_another_stamp_and_one_that_is_gone_has_none(inbox: BucketInbox) -> None:
    source = put(inbox.url, "a.svs", b"one")
    (sighting,) = inbox.look()
    assert inbox.stamp(source) == sighting.stamp
    put(inbox.url, "a.svs", b"two")
    assert inbox.stamp(source) not in (sighting.stamp, None)
    Bucket(inbox.url).delete([(inbox.url / "a.svs").key])
    assert inbox.stamp(source) is None


def test_its_identity_is_that_of_its_contents(inbox: BucketInbox) -> None:
    one, other, copy = put(inbox.url, "a.svs", b"one"), put(inbox.url, "b.svs", b"two"), put(inbox.url, "c.svs", b"one")
    assert inbox.identify(one) == inbox.identify(copy) != inbox.identify(other)


def test_a_bucket_that_is_not_there_is_said_to_be(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(StorageRefused, match="there is no bucket none-such"):
        BucketInbox(ObjectUrl("s3", "none-such", ""), Staging(tmp_path)).look()


def test_slides_of_a_bucket_are_worked_on_once_and_known_again_under_other_names(
    url: ObjectUrl, tmp_path: Path, synthetic_slide: tuple[Path, SyntheticTruth], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTOLOOM_STAGING", str(tmp_path / "staging"))
    (tmp_path / "cohort.toml").write_text(INGEST_ALONE)
    out = tmp_path / "out"
    arguments = ["watch", str(url), "--out", str(out), "--config", str(tmp_path / "cohort.toml"), "--workers", "0"]

    def look_twice() -> str:
        said = ""
        for _ in range(2):
            done = CliRunner().invoke(app, [*arguments, "--once", "--settle", "0"])
            assert done.exit_code == 0, done.output
            said += done.stdout
        return said

    put(url, "one.svs", synthetic_slide[0].read_bytes())
    assert "one: done" in look_twice()
    put(url, "renamed.svs", synthetic_slide[0].read_bytes())
    assert f"{url}/renamed.svs: known as one" in look_twice()
    assert (out / "one" / "run.json").is_file()
    assert not (out / "renamed").exists()
