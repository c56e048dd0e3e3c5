"""A slide's results in a real S3 bucket: all of them or not done; a stopped call goes on; nobody else's is mixed in."""

import json
import os
from pathlib import Path

import pytest

from pipeline.bucket import Bucket
from pipeline.errors import ResourceLost, StorageRefused, StoreBusy, StoreError
from pipeline.object_url import ObjectUrl
from pipeline.publish import Published, publish_slide
from tests.fault_proxy import FaultProxy
from tests.s3_server import S3Server


@pytest.fixture
def url(s3: S3Server) -> ObjectUrl:
    return ObjectUrl("s3", s3.new_bucket(), "results/a")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results with twelve shards of 20 kB, a table and the done mark."""
    folder = tmp_path / "a"
    for number in range(12):
        shard = folder / "a.ome.zarr" / "0" / "c" / str(number)
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.write_bytes(os.urandom(20_000))
    (folder / "patches.parquet").write_bytes(os.urandom(1000))
    (folder / "run.json").write_text('{"plan": {}}')
    return folder


def publish(folder: Path, url: ObjectUrl) -> Published:
    return publish_slide(folder, url, folder.with_suffix(".jsonl"), lambda: None)


def holds(url: ObjectUrl) -> dict[str, bytes]:
    bucket = Bucket(url)
    found = {facts.key.removeprefix(url.prefix): bucket.read(facts.key) for facts in bucket.list_under(url.prefix)}
    return {name: content[0] for name, content in found.items() if content is not None}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_bucket_holds_what_the_folder_holds_and_the_done_mark_came_last(
    folder: Path, url: ObjectUrl, proxy: FaultProxy
) -> None:
    done = publish(folder, url)
    assert holds(url) == content(folder)
    assert (done.objects, done.bytes) == (14, sum(map(len, content(folder).values())))
    puts = [request for request in proxy.requests if request.startswith("PUT")]
    assert puts[-1].endswith("/results/a/run.json")
    assert sum("run.json" in request for request in puts) == 1


def test_faults_of_store_and_network_are_lived_through(folder: Path, url: ObjectUrl, proxy: FaultProxy) -> None:
    faults = [
        proxy.add("PUT .*/c/[0-3]$", "status", times=5, status=503),
        proxy.add("PUT .*/c/[4-7]$", "status", times=5, status=500, code="InternalError"),
        proxy.add("PUT .*/c/[89]", "lost", times=2),
        proxy.add("GET .*list-type", "cut", times=1),
        proxy.add("PUT .*/run.json", "lost", times=1),
    ]
    publish(folder, url)
    assert holds(url) == content(folder)
    assert all(fault.met == fault.times for fault in faults)


def test_a_publish_that_was_stopped_goes_on_where_it_was(folder: Path, url: ObjectUrl, proxy: FaultProxy) -> None:
    denied = proxy.add("PUT .*/c/7", "status", times=1, status=403, code="AccessDenied")
    with pytest.raises(StorageRefused):
        publish(folder, url)
    assert denied.met == 1
    assert "run.json" not in holds(url)
    arrived = folder.with_suffix(".jsonl").read_text().splitlines()
    with folder.with_suffix(".jsonl").open("a") as file:
        file.write('{"file": "cut off in the mid')
    done = publish(folder, url)
    assert holds(url) == content(folder)
    assert len(arrived) >= 7
    waiting = content(folder).keys() - {json.loads(line)["file"] for line in arrived} - {"run.json"}
    assert done.sent_bytes == sum(len(content(folder)[name]) for name in waiting) > 0


def test_what_an_earlier_result_left_is_gone_before_the_new_one_is_done(
    folder: Path, url: ObjectUrl, proxy: FaultProxy
) -> None:
    publish(folder, url)
    (folder / "a.ome.zarr" / "0" / "c" / "11").unlink()  # the new results have nothing there
    (folder / "a.ome.zarr" / "0" / "c" / "0").write_bytes(b"new")
    proxy.add("PUT .*/c/0$", "status", status=403, code="AccessDenied")
    with pytest.raises(StorageRefused):
        publish(folder, url)
    assert not {"run.json", "a.ome.zarr/0/c/11"} & holds(url).keys()
    publish(folder, url)
    assert holds(url) == content(folder)


def test_an_object_that_is_not_what_was_sent_is_found_out_before_the_done_mark(
    folder: Path, url: ObjectUrl, proxy: FaultProxy
) -> None:
    class Meddler:
        """Overwrites a shard as soon as the last file has been asked about."""

        calls = 0

        def __call__(self) -> None:
            self.calls += 1
            if self.calls == 14:  # once at the start, once a file: all but the last few shards have arrived
                Bucket(url).put(url.prefix + "a.ome.zarr/0/c/0", b"x" * 20_000)

    with pytest.raises(ResourceLost, match="is not what was sent"):
        publish_slide(folder, url, folder.with_suffix(".jsonl"), Meddler())
    assert "run.json" not in holds(url)
    publish(folder, url)
    assert holds(url) == content(folder)


def test_who_lost_the_slide_to_another_writes_no_done_mark(folder: Path, url: ObjectUrl) -> None:
    def check() -> None:
        if len(Bucket(url).list_under(url.prefix)) > 5:
            msg = "lost"
            raise StoreBusy(msg)

    with pytest.raises(StoreBusy):
        publish_slide(folder, url, folder.with_suffix(".jsonl"), check)
    assert "run.json" not in holds(url)


def test_a_done_mark_that_somebody_else_wrote_in_between_stays(folder: Path, url: ObjectUrl) -> None:
    class Rival:
        calls = 0

        def __call__(self) -> None:
            self.calls += 1
            if self.calls == 15:  # the last question before the done mark
                Bucket(url).put(url.prefix + "run.json", b"theirs")

    with pytest.raises(StoreBusy, match="somebody else published this slide"):
        publish_slide(folder, url, folder.with_suffix(".jsonl"), Rival())
    assert holds(url)["run.json"] == b"theirs"


def test_objects_that_are_no_results_are_never_taken_away(folder: Path, url: ObjectUrl) -> None:
    Bucket(url).put(f"{url.key}/Slidedat.ini", b"[GENERAL]")
    with pytest.raises(StoreError, match=r"Slidedat.ini: is there already and no result of histoloom"):
        publish(folder, url)
    assert holds(url) == {"Slidedat.ini": b"[GENERAL]"}


def test_who_lost_the_slide_takes_nothing_away(folder: Path, url: ObjectUrl) -> None:
    publish(folder, url)
    (folder / "patches.parquet").unlink()
    asked = iter([None, None])

    def lost_after_one() -> None:
        if next(asked, "lost") == "lost":
            raise StoreBusy("lost")

    before = holds(url)
    for shard in (folder / "a.ome.zarr").rglob("[0-9]*"):
        if shard.is_file():
            shard.unlink()
    with pytest.raises(StoreBusy):
        publish_slide(folder, url, folder.with_suffix(".jsonl"), lost_after_one)
    assert len(holds(url)) >= len(before) - 2  # the done mark, and the one that it could still answer for
