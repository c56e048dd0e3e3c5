import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry import Box
from pipeline.readers import (
    MAX_WHOLE_PICTURE_PX,
    OpenSlideReader,
    PictureReader,
    Reader,
    grey16_to_grey8,
    refuse_bomb,
)
from pipeline.tiff_reader import TiffReader
from tests.pipeline.real_slides import real_file


def everything(reader: Reader, level: int = 0) -> NDArray[np.uint8]:
    return reader.read(level, Box(0, 0, *reader.levels[level].shape))


def colours(height: int = 30, width: int = 40) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "webp"])
def test_a_picture_gives_its_own_pixels(tmp_path: Path, ending: str) -> None:
    Image.fromarray(colours()).save(tmp_path / f"a.{ending}", lossless=True)
    assert np.array_equal(everything(PictureReader(tmp_path / f"a.{ending}")), colours())


def test_grey_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(colours()[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(everything(PictureReader(tmp_path / "a.png")), colours()[..., :1].repeat(3, axis=2))


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    picture = Image.fromarray(colours()).quantize(16)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(everything(PictureReader(tmp_path / "a.png")), np.asarray(picture.convert("RGB")))


def test_transparent_pixels_lie_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((10, 10, 4), np.uint8)
    rgba[:5] = (200, 100, 50, 255)
    rgba[5:, :5, 3] = 51
    Image.fromarray(rgba).save(tmp_path / "a.png")
    pixels = everything(PictureReader(tmp_path / "a.png"))
    assert (pixels[:5] == (200, 100, 50)).all()
    assert (pixels[5:, :5] == 204).all()
    assert (pixels[5:, 5:] == 255).all()


def test_sixteen_bits_keep_their_contrast(tmp_path: Path) -> None:
    twelve_bit = np.linspace(0, 4095, 400).reshape(20, 20).astype(np.uint16)
    Image.fromarray(twelve_bit).save(tmp_path / "a.png")
    pixels = everything(PictureReader(tmp_path / "a.png"))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert np.abs(pixels[..., 0] - twelve_bit / 4095 * 255).max() <= 0.5


@pytest.mark.parametrize(("brightest", "scaled"), [(255, 255), (200, 200), (1023, 255), (4095, 255), (65535, 255)])
def test_bits_are_told_from_the_brightest(brightest: int, scaled: int) -> None:
    assert grey16_to_grey8(np.array([[0, brightest]], np.uint16)).max() == scaled


def test_dots_per_inch_of_a_picture_are_no_resolution(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png", dpi=(72, 72))
    assert PictureReader(tmp_path / "a.png").stated is None


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="held in memory"):
        refuse_bomb(MAX_WHOLE_PICTURE_PX, 2)
    Image.new("1", (13_300, 13_300)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="13300 x 13300 px"):
        PictureReader(tmp_path / "a.png")


BOTH = [
    "CMU-1-Small-Region.svs",
    "BS9_HE2.tif",
    "boxes.tiff",
    "CMU-1-Small-Region.wrong-mpp.tiff",
    "tcga-cr-7395-no-mpp.svs",
]


@pytest.mark.slides
@pytest.mark.parametrize("name", BOTH)
def test_both_readers_give_the_same_pixels(name: str) -> None:
    path = real_file(f"wsi/{name}")
    theirs, ours = OpenSlideReader(path), TiffReader(path)
    assert [level.shape for level in theirs.levels] == [level.shape for level in ours.levels]
    for index, level in enumerate(theirs.levels):
        height, width = level.shape
        if not level.usable:
            continue
        for y, x in ((0, 0), (height // 2, width // 2), (height - min(height, 301), width - min(width, 203))):
            box = Box(y, x, min(301, height - y), min(203, width - x))
            assert np.array_equal(theirs.read(index, box), ours.read(index, box)), (index, box)
    theirs.close()
    ours.close()


@pytest.mark.slides
@pytest.mark.parametrize("kind", [OpenSlideReader, TiffReader])
def test_threads_that_share_a_reader_get_the_right_pixels(kind: type[OpenSlideReader] | type[TiffReader]) -> None:
    reader: Reader = kind(real_file("wsi/CMU-1-Small-Region.svs"))
    whole = everything(reader)
    places = np.random.default_rng(3).integers(0, 2000, (120, 2))

    def is_right(place: tuple[int, int]) -> bool:
        box = Box(int(place[0]), int(place[1]), 180, 210)
        return np.array_equal(reader.read(0, box), whole[box.slices()])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(is_right, places))
    reader.close()


@pytest.mark.slides
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files the way Linux shows them")
def test_no_file_stays_open(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png")
    kinds: list[tuple[Callable[[Path], Reader], Path]] = [
        (OpenSlideReader, real_file("wsi/CMU-1-Small-Region.svs")),
        (TiffReader, real_file("wsi/CMU-1-Small-Region.svs")),
        (PictureReader, tmp_path / "a.png"),
    ]
    for kind, path in kinds:
        kind(path).close()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(5):
            reader = kind(path)
            reader.read(0, Box(0, 0, 9, 9))
            reader.close()
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.slides
def test_openslide_offers_no_large_level_that_it_would_interpolate() -> None:
    reader = OpenSlideReader(real_file("wsi/BS9_HE2.tif"))
    assert [(level.downsample.is_integer(), level.usable) for level in reader.levels] == [
        (True, True),
        (False, False),
        (False, True),
        (False, True),
    ]
    reader.close()
