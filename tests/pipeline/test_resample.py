from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline import resample
from pipeline.geometry import Box, Frame
from pipeline.resample import Resampled


@dataclass(frozen=True)
class Array:
    """A pixel source over an array."""

    pixels: NDArray[np.uint8]
    frame: Frame

    def read(self, box: Box) -> NDArray[np.uint8]:
        assert self.frame.box.encloses(box)
        return self.pixels[box.slices()]


def noise(height: int, width: int, low: int = 0, end: int = 256) -> Array:
    pixels = np.random.default_rng(height * width).integers(low, end, (height, width, 3), np.uint8)
    return Array(pixels, Frame(height, width, 0.25))


def resampled(source: Array, mpp: float) -> Resampled:
    return Resampled(source, source.frame.at(mpp))


@given(
    height=st.integers(5, 90),
    width=st.integers(5, 90),
    ratio=st.floats(0.3, 6),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    side_px=st.integers(1, 60),
)
@settings(max_examples=80, deadline=None)
def test_any_box_equals_the_whole_bit_by_bit(
    height: int, width: int, ratio: float, corner: tuple[float, float], side_px: int
) -> None:
    source = resampled(noise(height, width), 0.25 * ratio)
    whole = source.read(source.frame.box)
    y, x = (int(place * (side - 1)) for place, side in zip(corner, source.frame.shape, strict=True))
    box = source.frame.box.clip(Box(y, x, side_px, side_px))
    assert np.array_equal(source.read(box), whole[box.slices()])


@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.3, 2.0, 3.7])
def test_the_interior_agrees_with_pillow(ratio: float) -> None:
    # Pillow cuts overshoots off after each axis, which mid-tones do not reach.
    source = noise(120, 150, 70, 186)
    ours = resampled(source, 0.25 * ratio)
    height, width = (int(side / ratio) for side in source.frame.shape)
    edges = 0, 0, width * ratio, height * ratio
    theirs = Image.fromarray(source.pixels).resize((width, height), Image.Resampling.BICUBIC, box=edges)
    rim = 8
    interior = Box(rim, rim, height - 2 * rim, width - 2 * rim)
    difference = ours.read(interior).astype(int) - np.asarray(theirs)[interior.slices()]
    assert np.abs(difference).max() <= 1


def test_the_border_agrees_with_pillow_where_the_frame_fits() -> None:
    source = noise(64, 96, 70, 186)
    theirs = Image.fromarray(source.pixels).resize((48, 32), Image.Resampling.BICUBIC)
    ours = resampled(source, 0.5).read(Box(0, 0, 32, 48))
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


def test_a_plain_surface_stays_plain_to_its_last_pixel() -> None:
    plain = Array(np.full((41, 37, 3), 117, np.uint8), Frame(41, 37, 0.25))
    for mpp in (0.11, 0.3, 0.9, 4.0):
        source = resampled(plain, mpp)
        assert (source.read(source.frame.box) == 117).all()


def test_a_ramp_keeps_its_place() -> None:
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[np.newaxis, :, np.newaxis], 20, axis=0).repeat(3, axis=2)
    source = resampled(Array(ramp, Frame(20, 200, 1.0)), 4.0)
    # Pixel i of 4 um spans 4 i .. 4 i + 4, whose values average 4 i + 1.5.
    assert np.abs(source.read(Box(1, 5, 1, 40))[0, :, 0] - (4 * np.arange(5, 45) + 1.5)).max() <= 0.5


def test_outside_the_frame_is_white() -> None:
    source = resampled(Array(np.zeros((40, 40, 3), np.uint8), Frame(40, 40, 0.25)), 0.5)
    pixels = source.read(Box(-3, 15, 10, 10))
    assert (pixels[:3] == 255).all()
    assert (pixels[3:, 5:] == 255).all()
    assert (pixels[3:, :5] == 0).all()


def test_a_large_reduction_reads_no_more_than_its_budget_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    largest_px = 0

    @dataclass(frozen=True)
    class Watched(Array):
        def read(self, box: Box) -> NDArray[np.uint8]:
            nonlocal largest_px
            largest_px = max(largest_px, box.area_px)
            return super().read(box)

    plain = noise(600, 700)
    whole = resampled(plain, 5.0).read(Box(0, 0, 30, 35))
    monkeypatch.setattr(resample, "_MAX_SOURCE_PX", 40_000)
    parts = Resampled(Watched(plain.pixels, plain.frame), plain.frame.at(5.0)).read(Box(0, 0, 30, 35))
    assert np.array_equal(parts, whole)
    assert 0 < largest_px <= 40_000
