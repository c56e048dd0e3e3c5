from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from pipeline.geometry import Frame
from pipeline.slide import open_slide
from pipeline.thumbnail import thumbnail


def written(path: Path, pixels: NDArray[np.uint8], steps: tuple[int, ...] = (1,)) -> Path:
    with tifffile.TiffWriter(path) as file:
        for step in steps:
            file.write(pixels[::step, ::step], photometric="rgb", tile=(64, 64), subfiletype=int(step > 1))
    return path


def test_a_pixel_is_the_mean_of_those_under_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    with open_slide(written(tmp_path / "a.tif", pixels), mpp=0.5) as slide:
        picture, frame = thumbnail(slide, 4.0)
    assert frame == Frame(8, 12, 4.0)
    assert np.array_equal(picture, np.rint(pixels.reshape(8, 8, 12, 8, 3).mean(axis=(1, 3))))


def test_what_hangs_over_the_border_averages_what_there_is(tmp_path: Path) -> None:
    with open_slide(written(tmp_path / "a.tif", np.full((67, 99, 3), 77, np.uint8)), mpp=0.5) as slide:
        picture, frame = thumbnail(slide, 4.0)
    assert frame == Frame(9, 13, 4.0)
    assert (picture == 77).all()


def test_a_wide_slide_is_read_in_parts_and_none_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 330, 3), np.uint8)
    with open_slide(written(tmp_path / "a.tif", pixels), mpp=0.5) as slide:
        whole, frame = thumbnail(slide, 3.5)
        monkeypatch.setattr("pipeline.thumbnail._READ_PX", 50)
        parts, _ = thumbnail(slide, 3.5)
    assert frame == Frame(29, 48, 3.5)
    assert np.array_equal(whole, parts)


def test_the_coarsest_level_that_is_fine_enough_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((403, 403, 3), np.uint8)
    pixels[::16, ::16] = 200
    with open_slide(written(tmp_path / "a.tif", pixels, (1, 4, 16)), mpp=0.5) as slide:
        picture, frame = thumbnail(slide, 8.0)
        finer, _ = thumbnail(slide, 6.0)
    assert frame == Frame(26, 26, 8.0)
    assert (picture == 200).all()
    assert finer.max() < 200
