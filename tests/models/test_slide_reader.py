from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TrainingError
from models.slide_reader import Region, TiffSlide, open_tiff
from tests.models.examples import tissue

HEIGHT, WIDTH = 150, 210


@pytest.fixture(scope="module", params=["tiles", "strips", "one strip", "jpeg"])
def slide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TiffSlide:
    path = tmp_path_factory.mktemp("slides") / "s.tif"
    layout: dict[str, dict[str, Any]] = {
        "tiles": {"tile": (64, 48)},
        "strips": {"rowsperstrip": 16},
        "one strip": {},
        "jpeg": {"tile": (64, 64), "compression": "jpeg", "compressionargs": {"level": 100}},
    }
    tifffile.imwrite(path, tissue(HEIGHT, WIDTH), photometric="rgb", **layout[request.param])
    return TiffSlide(path)


@given(st.data())
def test_a_region_is_that_part_of_the_page(slide: TiffSlide, data: st.DataObject) -> None:
    y, x = data.draw(st.integers(0, HEIGHT - 1)), data.draw(st.integers(0, WIDTH - 1))
    height, width = data.draw(st.integers(1, HEIGHT - y)), data.draw(st.integers(1, WIDTH - x))
    whole = slide.read(0, Region(0, 0, HEIGHT, WIDTH))
    assert np.array_equal(slide.read(0, Region(y, x, height, width)), whole[y : y + height, x : x + width])


def test_pixels_are_those_of_the_file(slide: TiffSlide) -> None:
    difference = np.abs(slide.read(0, Region(0, 0, HEIGHT, WIDTH)).astype(int) - tissue(HEIGHT, WIDTH))
    assert difference.mean() < 2  # one of the files is a JPEG


def write_pyramid(path: Path, shapes: list[tuple[int, int]], thumbnail: bool = False) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for place, (height, width) in enumerate(shapes):
            tiff.write(tissue(height, width), tile=(64, 64), photometric="rgb", subfiletype=min(place, 1))
        if thumbnail:
            tiff.write(tissue(shapes[0][0] // 3, shapes[0][1] // 3), photometric="rgb")
            tiff.write(tissue(40, 200), photometric="rgb")
    return path


def test_levels_are_the_smaller_copies_and_nothing_else(tmp_path: Path) -> None:
    slide = TiffSlide(write_pyramid(tmp_path / "s.tif", [(401, 302), (100, 75), (50, 37)], thumbnail=True))
    assert slide.shapes == ((401, 302), (100, 75), (50, 37))
    assert slide.downsamples == (1, 4, 8)
    assert np.array_equal(slide.read(1, Region(0, 0, 100, 75)), tissue(100, 75))


def test_a_level_that_is_no_whole_fraction_says_so(tmp_path: Path) -> None:
    slide = TiffSlide(write_pyramid(tmp_path / "s.tif", [(480, 480), (119, 119)]))
    assert slide.downsamples[1] == pytest.approx(480 / 119)


def test_the_mpp_is_what_the_caller_says(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "s.tif", [(100, 100)])
    assert open_tiff(path, 0.25).mpp == 0.25
    assert open_tiff(path, None).mpp is None


def test_tissue_is_what_is_coloured_seen_from_the_coarsest_level(tmp_path: Path) -> None:
    page = np.full((512, 512, 3), 240, np.uint8)
    page[:, :256] = (200, 120, 160)
    with tifffile.TiffWriter(tmp_path / "s.tif") as tiff:
        for step in (1, 4):
            tiff.write(page[::step, ::step], tile=(64, 64), photometric="rgb", subfiletype=min(step - 1, 1))
    slide = TiffSlide(tmp_path / "s.tif")
    assert slide.tissue_share(0, Region(0, 0, 512, 512)) == 0.5
    assert slide.tissue_share(0, Region(0, 256, 256, 256)) == 0
    assert slide.tissue_share(1, Region(0, 0, 128, 64)) == 1
    assert slide.tissue_share(0, Region(0, 0, 40, 40)) == 1


def test_pixels_that_do_not_decode_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, tissue(128, 128), tile=(64, 64), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    slide = TiffSlide(path)
    assert np.array_equal(slide.read(0, Region(0, 0, 64, 128)), tissue(64, 128))
    with pytest.raises(TrainingError, match=f"{path}.*decoded"):
        slide.read(0, Region(64, 64, 64, 64))


def test_what_is_no_rgb_tiff_is_an_error_of_two_lines(tmp_path: Path) -> None:
    grey, text = tmp_path / "grey.tif", tmp_path / "text.tif"
    tifffile.imwrite(grey, np.zeros((64, 64), np.uint16))
    text.write_text("no TIFF")
    for path in (grey, text, tmp_path / "absent.tif"):
        with pytest.raises(TrainingError, match=str(path)) as error:
            open_tiff(path, None)
        assert str(error.value).count("\n") == 1
