from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tiffslide
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.pyramidal_tiff import reduced, write_pyramidal_tiff

READERS = [openslide.OpenSlide, tiffslide.TiffSlide]
NOISE = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
FRAME = Frame(700, 900, 0.499)


def noise(box: Box) -> NDArray[np.uint8]:
    return NOISE[box.slices()]


def level_pixels(slide: Any, level: int) -> NDArray[np.uint8]:
    return np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiff") / "noise.svs"
    write_pyramidal_tiff(path, FRAME, noise, level_downsamples=(1, 2.5, 4, 16), compression="deflate")
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mpp", [0.499, 0.25, 0.2271, 1 / 3])
def test_both_readers_get_the_resolution_to_the_last_bit(
    reader: Callable[[Path], Any], mpp: float, tmp_path: Path
) -> None:
    path = tmp_path / "slide.svs"
    write_pyramidal_tiff(path, Frame(300, 260, mpp), noise)
    with reader(path) as slide:
        properties = slide.properties
        found = [value for name, value in properties.items() if name in ("openslide.mpp-x", "tiffslide.mpp-x")]
    assert [float(value) for value in found] == [mpp]


@pytest.mark.parametrize("reader", READERS)
def test_both_readers_find_all_levels(reader: Callable[[Path], Any], lossless: Path) -> None:
    with reader(lossless) as slide:
        assert slide.level_dimensions == ((900, 700), (360, 280), (225, 175), (56, 44))
        assert slide.level_downsamples[:3] == (1.0, 2.5, 4.0)
        np.testing.assert_array_equal(level_pixels(slide, 0), NOISE)


@pytest.mark.parametrize("reader", READERS)
def test_a_lower_level_is_the_mean_over_what_it_covers(reader: Callable[[Path], Any], lossless: Path) -> None:
    split = NOISE.repeat(2, axis=0).repeat(2, axis=1).astype(float)
    with reader(lossless) as slide:
        for level, side_in_half_px in ((1, 5), (2, 8)):
            height, width = split.shape[0] // side_in_half_px, split.shape[1] // side_in_half_px
            means = split.reshape(height, side_in_half_px, width, side_in_half_px, 3).mean(axis=(1, 3))
            assert np.abs(level_pixels(slide, level) - means).max() < 0.51


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_levels_do_not_depend_on_how_they_are_cut(height: int, width: int, data: st.DataObject) -> None:
    level0 = Frame(90, 70, 1.0)
    cut_y, cut_x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    whole = reduced(level0, (height, width), Box(0, 0, height, width), noise)
    rest = Box(cut_y, cut_x, height - cut_y, width - cut_x)
    np.testing.assert_array_equal(reduced(level0, (height, width), rest, noise), whole[rest.slices()])


@given(st.integers(1, 90), st.integers(1, 70), st.integers(0, 255))
def test_one_colour_stays_that_colour_at_any_downsample(height: int, width: int, grey: int) -> None:
    def plain(box: Box) -> NDArray[np.uint8]:
        return np.full((*box.shape, 3), grey, np.uint8)

    level = reduced(Frame(90, 70, 1.0), (height, width), Box(0, 0, height, width), plain)
    assert (level == grey).all()


@pytest.mark.parametrize("reader", READERS)
def test_jpeg_is_close_and_small(reader: Callable[[Path], Any], tmp_path: Path) -> None:
    ramp = np.empty((900, 700, 3), np.uint8)
    ramp[:] = np.arange(900)[:, np.newaxis, np.newaxis] // 4
    path = tmp_path / "ramp.svs"
    write_pyramidal_tiff(path, Frame(900, 700, 0.5), lambda box: ramp[box.slices()])
    with reader(path) as slide:
        assert np.abs(level_pixels(slide, 0).astype(int) - ramp).max() <= 3
    assert path.stat().st_size < ramp.nbytes / 10


def test_little_is_rendered_at_once_whatever_the_size(tmp_path: Path) -> None:
    largest = 0

    def plain(box: Box) -> NDArray[np.uint8]:
        nonlocal largest
        largest = max(largest, box.area_px)
        return np.full((*box.shape, 3), 200, np.uint8)

    write_pyramidal_tiff(tmp_path / "wide.svs", Frame(2100, 9000, 0.5), plain, level_downsamples=(1, 8.3, 64))
    assert largest <= 1100**2


def test_nothing_is_left_of_a_slide_that_could_not_be_rendered(tmp_path: Path) -> None:
    def failing(box: Box) -> NDArray[np.uint8]:
        if box.y:
            raise RuntimeError("out of ink")
        return noise(box)

    with pytest.raises(RuntimeError, match="out of ink"):
        write_pyramidal_tiff(tmp_path / "slide.svs", FRAME, failing)
    assert list(tmp_path.iterdir()) == []
