"""The picture of a slide that the cohort's page carries: the slide, small, and never too many bytes."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.scene import open_scene
from pipeline.thumbnail_file import MOST_BYTES, SIDE_PX, small_jpeg, thumbnail_uri, write_thumbnail
from tests.pipeline.finished_slide import PINK, Parts, make_slide, read_run


def drawn(folder: Path) -> Path:
    return write_thumbnail(open_scene(folder, read_run(folder)))


@pytest.mark.parametrize("shape", [(250, 300), (40, 2500), (2500, 40), (7, 9)])
def test_it_is_the_slide_and_fits_the_page(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = drawn(make_slide(tmp_path, shape=shape, parts=Parts(nuclei=None)))
    with Image.open(path) as picture:
        assert max(picture.size) <= SIDE_PX
        assert picture.width / picture.height == pytest.approx(shape[1] / shape[0], rel=0.4)
        assert np.abs(np.asarray(picture).astype(int) - PINK).max() < 8
    assert path.stat().st_size <= MOST_BYTES


def test_what_lies_on_the_slide_lies_there_in_the_picture(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, shape=(320, 320), parts=Parts(nuclei=((80.0, 240.0),)))
    with Image.open(drawn(folder)) as picture:
        light = np.asarray(picture.convert("L")).astype(int)
    dark = np.argwhere(light < (light.min() + light.max()) / 2) * 320 / SIDE_PX
    assert dark.mean(axis=0) == pytest.approx((80, 240), abs=2)
    assert np.ptp(dark, axis=0) == pytest.approx((12, 12), abs=4)


@given(st.integers(1, SIDE_PX), st.integers(1, SIDE_PX), st.integers(0, 9))
def test_no_picture_takes_more_bytes_than_the_page_reckons_with(height: int, width: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    assert len(small_jpeg(noise)) <= MOST_BYTES


def test_a_link_carries_the_very_file(tmp_path: Path) -> None:
    path = drawn(make_slide(tmp_path))
    assert base64.b64decode(thumbnail_uri(path).removeprefix("data:image/jpeg;base64,")) == path.read_bytes()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg_of(side_px: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side_px, side_px)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", b"<svg onload='alert(1)'>", png(), jpeg_of(SIDE_PX + 1), jpeg_of(9) + b"0" * MOST_BYTES,
     jpeg_of(9).replace(b"\x00\x09\x00\x09", b"\xff\xff\xff\xff")],
    ids=["empty", "words", "svg", "png", "too large", "too long", "absurd"],
)  # fmt: skip
def test_a_file_that_is_no_thumbnail_is_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "thumbnail.jpg").write_bytes(content)
    assert thumbnail_uri(tmp_path / "thumbnail.jpg") == ""


def test_no_file_is_no_picture(tmp_path: Path) -> None:
    assert thumbnail_uri(tmp_path / "thumbnail.jpg") == ""
    (tmp_path / "thumbnail.jpg").mkdir()
    assert thumbnail_uri(tmp_path / "thumbnail.jpg") == ""
