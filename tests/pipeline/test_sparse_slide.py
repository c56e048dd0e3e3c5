"""Slides that stay in their bucket, a real S3 server's: what is read is fetched, and is what a whole file gives."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.bucket import Bucket
from pipeline.errors import ResourceLost
from pipeline.geometry import Box
from pipeline.object_url import ObjectUrl
from pipeline.slide import open_slide
from pipeline.sparse_slide import BLOCK_BYTES, SparseSlide, is_sparse
from pipeline.staging import Staging
from tests.fault_proxy import FaultProxy
from tests.s3_server import S3Server

SIDE_PX = 2048


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiled pyramid of 13 MB, whose pixels no two places share."""
    path = tmp_path_factory.mktemp("slide") / "noise.tif"
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for step, kind in ((1, 0), (4, 1)):
            per_cm = (40_000 / step, 40_000 / step)
            writer.write(
                pixels[::step, ::step],
                photometric="rgb",
                tile=(256, 256),
                subfiletype=kind,
                resolution=per_cm,
                resolutionunit="CENTIMETER",
            )
    return path


@pytest.fixture
def url(s3: S3Server, tiff: Path) -> ObjectUrl:
    """The slide in a bucket."""
    found = ObjectUrl("s3", s3.new_bucket(), "slides/noise.tif")
    Bucket(found).put(found.key, tiff)
    return found


def on_disk(folder: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def test_what_is_read_is_what_a_whole_file_gives_and_little_else_is_fetched(
    tiff: Path, url: ObjectUrl, tmp_path: Path
) -> None:
    with Staging(tmp_path).hold(url, parts=True) as (path, facts):
        assert is_sparse(path)
        assert path.stat().st_size == facts.bytes == tiff.stat().st_size
        with open_slide(path) as slide, open_slide(tiff) as whole:
            assert slide.info.levels == whole.info.levels
            assert (slide.info.frame, slide.info.mpp_source) == (whole.info.frame, whole.info.mpp_source)
            for level, box in ((0, Box(1000, 700, 300, 260)), (1, Box(100, 90, 200, 130))):
                assert np.array_equal(slide.level(level).read(box), whole.level(level).read(box))
        assert on_disk(tmp_path) < tiff.stat().st_size / 2


def test_a_block_is_fetched_once_and_neighbours_in_one_request(
    tiff: Path, url: ObjectUrl, proxy: FaultProxy, tmp_path: Path
) -> None:
    content, place, count = tiff.read_bytes(), 10 * BLOCK_BYTES + 17, 3 * BLOCK_BYTES
    with Staging(tmp_path).hold(url, parts=True) as (path, _):
        before = len(proxy.requests)
        first, second = SparseSlide(path), SparseSlide(path)
        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(lambda _: first.pread(count, place), range(6))) == {content[place : place + count]}
        assert second.pread(100, place) == content[place : place + 100]
        first.close()
        second.close()
    with Staging(tmp_path).hold(url, parts=True) as (path, _):
        SparseSlide(path).pread(100, place)
    assert sum(request.startswith("GET") for request in proxy.requests[before:]) == 1


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ranges=st.lists(st.tuples(st.integers(0, 14_000_000), st.integers(0, 3_000_000)), max_size=4))
def test_any_range_reads_as_of_the_whole_file(
    ranges: list[tuple[int, int]], tiff: Path, url: ObjectUrl, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = tiff.read_bytes()
    with Staging(tmp_path_factory.mktemp("staging")).hold(url, parts=True) as (path, _):
        slide = SparseSlide(path)
        slide.fetch(ranges)
        assert all(slide.pread(count, offset) == content[offset : offset + count] for offset, count in ranges)
        slide.close()


def test_a_store_that_fails_now_and_then_gives_the_same_pixels(
    tiff: Path, url: ObjectUrl, proxy: FaultProxy, tmp_path: Path
) -> None:
    cut, busy = proxy.add("GET .*noise", "cut", times=2), proxy.add("GET .*noise", "status", times=2, status=503)
    with Staging(tmp_path).hold(url, parts=True) as (path, _), open_slide(path) as slide, open_slide(tiff) as whole:
        assert np.array_equal(slide.level(0).read(slide.info.frame.box), whole.level(0).read(whole.info.frame.box))
    assert (cut.met, busy.met) == (2, 2)


def test_a_slide_that_is_replaced_while_it_is_read_is_never_mixed_with_the_new_one(
    tiff: Path, url: ObjectUrl, tmp_path: Path
) -> None:
    with Staging(tmp_path).hold(url, parts=True) as (path, _), open_slide(path) as slide:
        Bucket(url).put(url.key, tiff.read_bytes()[::-1])
        with pytest.raises(ResourceLost, match="changed while it was read"):
            slide.level(0).read(Box(1500, 1500, 100, 100))


def test_a_tiff_that_needs_a_file_of_its_own_and_a_picture_are_fetched_whole(s3: S3Server, tmp_path: Path) -> None:
    bucket, picture = ObjectUrl("s3", s3.new_bucket(), ""), b"\x89PNG no tiff at all" * 1000
    for name in ("named.tif", "picture.png"):
        url = bucket / name
        Bucket(url).put(url.key, picture)
        with Staging(tmp_path).hold(url, parts=True) as (path, _):
            assert not is_sparse(path)
            assert path.read_bytes() == picture


def test_a_kill_while_a_part_comes_leaves_what_can_be_gone_on_with(
    tiff: Path, url: ObjectUrl, proxy: FaultProxy, tmp_path: Path
) -> None:
    content = tiff.read_bytes()
    with Staging(tmp_path).hold(url, parts=True) as (path, _):
        SparseSlide(path).pread(BLOCK_BYTES, 0)
        stuck = proxy.add("GET .*noise", "slow", times=1, seconds=3600)
        code = f"""from pathlib import Path; from pipeline.sparse_slide import SparseSlide
SparseSlide(Path({str(path)!r})).pread({9 * BLOCK_BYTES}, {20 * BLOCK_BYTES})"""
        process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
        while not stuck.met:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        slide = SparseSlide(path)
        assert slide.pread(len(content), 0) == content
        slide.close()
