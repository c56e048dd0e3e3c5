"""The viewer over results in a bucket: a real S3 server, and one that fails."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.bucket import Bucket
from pipeline.object_url import ObjectUrl
from pipeline.store import SlideStore
from tests.fault_proxy import FaultProxy
from tests.flows.viewing import serving, slide_url
from tests.pipeline.finished_slide import Parts, make_slide
from tests.s3_server import SECRET_KEY, S3Server


@pytest.fixture
def published(s3: S3Server, tmp_path: Path) -> ObjectUrl:
    """One slide, sent as it lies here, beside one that failed and something private."""
    url = ObjectUrl("s3", s3.new_bucket(), "results")
    bucket = Bucket(url)
    make_slide(tmp_path, "slide", (300, 700), Parts(nuclei=((60.0, 80.0), (200.0, 250.0))))
    for path in sorted((tmp_path / "slide").rglob("*")):
        if path.is_file():
            bucket.put((url / path.relative_to(tmp_path).as_posix()).key, path)
    bucket.put((url / ".partial/bad/failed.json").key, b'{"what": "bad.svs: no slide", "cure": "Scan it again."}')
    bucket.put("private/slide/run.json", b'{"secret": true}')
    return url


def test_results_in_a_bucket_are_seen_like_those_in_a_folder(published: ObjectUrl, tmp_path: Path) -> None:
    with serving(published) as viewer:
        rows = {row["id"]: row for row in viewer.ask("/api/cohort").json()["slides"]}
        assert {name: row["status"] for name, row in rows.items()} == {"slide": "done", "bad": "failed"}
        assert rows["bad"]["reason"] == "bad.svs: no slide"
        told = viewer.ask(slide_url("slide")).json()
        assert {layer["id"] for layer in told["layers"]} >= {"image", "sr", "tissue", "consistency"}
        store = SlideStore(tmp_path / "slide" / "slide.ome.zarr")
        frame = store.layer("sr/0").frame
        whole = store.layer("sr/0").read(frame.box)
        levels = len(store.pyramid("sr").levels)
        for box in frame.partition(512):
            url = slide_url("slide", "tiles", "sr", levels - 1, f"{box.x // 512}_{box.y // 512}")
            seen = np.asarray(Image.open(io.BytesIO(viewer.ask(f"{url}?format=png").body)))
            np.testing.assert_array_equal(seen, whole[box.slices()])
        assert viewer.ask("/api/slides/slide/nuclei/at?x=80&y=60").json()["row"] == 1
        assert viewer.ask("/api/slides/slide/patches/at?x=1&y=1").json()["patches"]
        chunk = (tmp_path / "slide/slide.ome.zarr/0/c/0/0/0").read_bytes()
        part = viewer.ask("/files/slide/slide.ome.zarr/0/c/0/0/0", Range="bytes=-30")
        assert (part.status, part.body) == (206, chunk[-30:])
        for target in ("/files/slide/../../private/slide/run.json", "/files/..%2fprivate/run.json",
                       "/files/slide/slide.ome.zarr/..%2f..%2f..%2fprivate%2fslide%2frun.json"):  # fmt: skip
            assert viewer.ask(target).status == 404


def test_a_bucket_that_gives_way_is_said_and_tells_no_secret(published: ObjectUrl, proxy: FaultProxy) -> None:
    with serving(published) as viewer:
        assert viewer.ask("/api/cohort").status == 200
        proxy.add("results/slide", "status", times=1000, status=503)
        answer = viewer.ask(slide_url("slide"))
        assert answer.status == 503
        assert answer.json().keys() == {"error", "cure"}
        assert SECRET_KEY.encode() not in answer.body
        proxy.faults.clear()
        assert viewer.ask(slide_url("slide")).status == 200
