"""Whole runs from a bucket into a bucket, by the command line: a real S3 server that fails, and is shared."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from flows.cli import app
from pipeline.bucket import Bucket
from pipeline.object_url import ObjectUrl
from pipeline.pyramidal_tiff import write_pyramidal_tiff
from pipeline.synthetic import SyntheticTruth
from tests.fault_proxy import FaultProxy
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

HISTOLOOM = [sys.executable, "-c", "from flows.cli import main; main()"]
LIGHT = ("--mpp", "0.25", "--sr", "none", "--nuclei", "none", "--classifier", "none", "--core-px", "256")


@pytest.fixture
def cohort(s3: S3Server) -> ObjectUrl:
    """A bucket with one slide, 420 x 400 px of tissue, under `slides/`."""
    url = ObjectUrl("s3", s3.new_bucket(), "")
    truth = SyntheticTruth(400, 420, 0.25, tissue_share=1.0)
    picture = io.BytesIO()
    Image.fromarray(truth.render(truth.frame.box)).save(picture, "PNG")
    Bucket(url).put("slides/tissue.png", picture.getvalue())
    return url


def histoloom(*arguments: object) -> Result:
    """The command line within this process: a process of its own would import everything for each call."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def command(cohort: ObjectUrl, staging: Path, *more: object) -> tuple[object, ...]:
    return ("run", cohort / "slides", *LIGHT, "--out", cohort / "results", "--staging", staging, *more)


def holds(cohort: ObjectUrl) -> dict[str, bytes]:
    """Every object of the results."""
    bucket, prefix = Bucket(cohort), "results/"
    found = {facts.key.removeprefix(prefix): bucket.read(facts.key) for facts in bucket.list_under(prefix)}
    return {name: content[0] for name, content in found.items() if content is not None}


def local_files(staging: Path) -> set[str]:
    """What lies in the staging folder beside slides and empty files."""
    files = (path for path in (staging / "results").rglob("*") if path.is_file() and path.stat().st_size)
    return {path.name for path in files} - {"owner"}


def arrived(staging: Path) -> int:
    """How many objects of the store an unfinished publish has noted as arrived."""
    noted = (path.read_text().splitlines() for path in staging.glob("results/*/.publishing/*.jsonl"))
    return sum("ome.zarr" in line for lines in noted for line in lines)


def test_slides_of_a_bucket_give_results_in_a_bucket_and_a_second_call_changes_nothing(
    cohort: ObjectUrl, proxy: FaultProxy, tmp_path: Path
) -> None:
    Bucket(cohort).put("slides/broken.svs", b"no slide at all")
    proxy.add("GET .*/slides/tissue", "cut", times=1)
    proxy.add("PUT .*ome.zarr", "status", times=3, status=503)
    proxy.add("PUT .*preview", "lost", times=1)
    first = histoloom(*command(cohort, tmp_path, cohort / "slides/gone.svs", "--log-json"))
    assert first.exit_code == 3, first.stderr
    assert first.stdout.splitlines() == [f"{cohort}/results/tissue", f"{cohort}/results/report.html"]
    there = holds(cohort)
    run = json.loads(there["tissue/run.json"])
    assert run["input"]["path"] == f"{cohort}/slides/tissue.png"
    assert {"tissue/tissue.ome.zarr/zarr.json", "tissue/preview.png", "tissue/report.html"} <= there.keys()
    rows = {row["slide"]: row for row in pq.read_table(io.BytesIO(there["cohort.parquet"])).to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "tissue": "done", "broken": "failed", "gone": "failed",
    }  # fmt: skip
    assert rows["broken"]["reason"].startswith(f"{cohort}/slides/broken.svs: ")
    assert "there is no such object" in rows["gone"]["reason"]
    picture = b64encode(there["tissue/thumbnail.jpg"]).decode()
    assert f'src="data:image/jpeg;base64,{picture}"' in there["report.html"].decode()
    assert local_files(tmp_path) == {"failed.json"}

    before, slide = len(proxy.requests), cohort / "slides/tissue.png"
    second = histoloom("run", slide, *LIGHT, "--out", cohort / "results", "--staging", tmp_path / "another machine")
    assert second.exit_code == 0, second.stderr
    assert {name: content for name, content in holds(cohort).items() if name in there} == there
    asked = [request for request in proxy.requests[before:] if "/slides/" in request]
    assert not any(request.startswith("GET") for request in asked), "nothing is downloaded for what is done"
    other = histoloom(
        "run", slide, *LIGHT[:-1], "512", "--out", cohort / "results", "--staging", tmp_path, "--log-json"
    )
    assert other.exit_code == 3
    assert "core_px was 256, now 512" in other.stderr

    states = json.loads(histoloom("status", cohort / "results", "--json").stdout)
    assert {entry["slide"]: entry["state"] for entry in states} == {
        "tissue": "done", "broken": "failed", "gone": "failed",
    }  # fmt: skip
    for text in (first.stderr, second.stderr, other.stderr, *(content.decode("latin1") for content in there.values())):
        assert SECRET_KEY not in text
        assert ACCESS_KEY not in text


def test_a_kill_in_mid_upload_is_mended_by_the_same_command(
    cohort: ObjectUrl, proxy: FaultProxy, tmp_path: Path
) -> None:
    stuck = proxy.add("PUT .*results/tissue/.*preview.png", "slow", times=1, seconds=3600)
    process = subprocess.Popen(
        [*HISTOLOOM, *map(str, command(cohort, tmp_path))], stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not stuck.met or arrived(tmp_path) < 8:
        assert process.poll() is None, "the run was over before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "tissue/run.json" not in holds(cohort)
    (entry,) = json.loads(histoloom("status", cohort / "results", "--json").stdout)
    assert (entry["slide"], entry["state"]) == ("tissue", "running")

    stranger = histoloom(*command(cohort, tmp_path / "another machine"))
    assert stranger.exit_code == 3
    assert "another run is working on this slide" in stranger.stderr

    before = len(proxy.requests)
    again = histoloom(*command(cohort, tmp_path, "--log-json"))
    assert again.exit_code == 0, again.stderr
    events = [json.loads(line)["event"] for line in again.stderr.splitlines()]
    assert (events.pop(0), events.pop()) == ("run-started", "run-ended")
    assert events == ["slide-unchanged", "slide-published"]  # computed before the kill, sent now
    sent = [request for request in proxy.requests[before:] if request.startswith("PUT") and "ome.zarr" in request]
    assert len(sent) <= sum("ome.zarr" in name for name in holds(cohort)) - 8
    assert {"tissue/run.json", "tissue/preview.png", "tissue/report.html"} <= holds(cohort).keys()
    assert ".partial/tissue/lock.json" not in holds(cohort)
    assert local_files(tmp_path) == set()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("s3://no-such-bucket/results", "there is no bucket no-such-bucket"),
        (f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/results", "credentials in a URL"),
        ("ftp://host/results", "no kind of storage"),
    ],
    ids=["no bucket", "credentials in it", "another kind"],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    cohort: ObjectUrl, tmp_path: Path, out: str, said: str
) -> None:
    refused = histoloom("run", cohort / "slides", *LIGHT, "--out", out, "--staging", tmp_path)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 2
    assert SECRET_KEY not in refused.stderr


def test_without_credentials_two_lines_say_where_to_put_them(
    cohort: ObjectUrl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    refused = histoloom(*command(cohort, tmp_path))
    assert refused.exit_code == 2
    assert "no credentials for S3 found" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 2


def test_a_slide_fetched_in_parts_gives_the_results_of_the_whole_one(
    cohort: ObjectUrl, proxy: FaultProxy, tmp_path: Path
) -> None:
    truth = SyntheticTruth(4000, 5000, 0.25, tissue_share=0.1)
    write_pyramidal_tiff(tmp_path / "wide.tif", truth.frame, truth.render)
    slide, light = cohort / "slides/wide.tif", LIGHT[2:]
    Bucket(slide).put(slide.key, tmp_path / "wide.tif")

    def results(out: str, *more: str) -> dict[str, str]:
        staging = tmp_path / f"staging-{out}"
        done = histoloom("run", slide, *light, "--out", cohort / out, "--staging", staging, *more)
        assert done.exit_code == 0, done.stderr
        found = {facts.key.removeprefix(f"{out}/"): facts.etag for facts in Bucket(cohort).list_under(f"{out}/")}
        return {name: etag for name, etag in found.items() if ".ome.zarr/" in name or name.endswith("preview.png")}

    whole = results("whole")
    assert len(whole) > 4
    assert results("parts", "--fetch", "parts") == whole
    kept = Bucket(cohort).read("parts/wide/run.json")
    assert kept is not None
    run = json.loads(kept[0])
    assert run["input"]["sha256"] is None
    assert run["plan"]["slide"] == {"etag": run["input"]["etag"], "bytes": (tmp_path / "wide.tif").stat().st_size}

    before = len(proxy.requests)
    assert results("parts") == whole, "the other way to fetch asks the same question"
    assert not any("GET" in request and "/slides/" in request for request in proxy.requests[before:])
    assert histoloom("run", slide, *light, "--out", tmp_path, "--fetch", "halves").exit_code == 2
