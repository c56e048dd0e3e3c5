from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.errors import TrainingError
from models.patches_image import read_rgb, read_size
from tests.models.patches_made import pgm

RAMP = np.arange(40 * 50).reshape(40, 50)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "RGB"])
def test_grey_and_other_images_become_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.where(RAMP % 2, 255, 0).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    image = read_rgb(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.repeat(grey[:, :, np.newaxis], 3, axis=2))


@pytest.mark.parametrize("maxval", [2000, 4095, 65535])
def test_a_deep_pgm_is_scaled_by_its_maxval(tmp_path: Path, maxval: int) -> None:
    (tmp_path / "a.pgm").write_bytes(pgm(RAMP.astype(np.uint16), maxval))
    image = read_rgb(tmp_path / "a.pgm")
    assert np.abs(image[:, :, 0] - RAMP / maxval * 255).max() <= 0.51
    assert (image == image[:, :, :1]).all()


def test_a_pgm_of_8_bits_is_scaled_by_its_maxval(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n3 1\n100\n" + bytes([0, 50, 100]))
    assert read_rgb(tmp_path / "a.pgm")[0, :, 0].tolist() in ([0, 127, 255], [0, 128, 255])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_other_images_of_16_bits_are_scaled_by_the_largest_number_they_could_hold(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.array([[0, 257, 65535]], np.uint16)).save(tmp_path / f"a.{suffix}")
    assert read_rgb(tmp_path / f"a.{suffix}")[0, :, 0].tolist() == [0, 1, 255]


def test_the_size_is_read_from_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(pgm(RAMP.astype(np.uint16), 4095)[:40])
    assert read_size(tmp_path / "a.pgm") == (40, 50)


def test_what_cannot_be_read_is_named_in_two_lines(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.pgm").write_bytes(pgm(RAMP.astype(np.uint16), 4095)[:60])
    for name in ("text.png", "cut.pgm", "absent.png"):
        with pytest.raises(TrainingError, match=f"{name}: no readable image") as error:
            read_rgb(tmp_path / name)
        assert str(error.value).count("\n") == 1
    with pytest.raises(TrainingError, match="absent"):
        read_size(tmp_path / "absent.png")


def test_px_without_a_known_white_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", RAMP.astype(np.float32))
    tifffile.imwrite(tmp_path / "deep.tif", RAMP.astype(np.int32) * 100)
    tifffile.imwrite(tmp_path / "negative.tif", RAMP.astype(np.int32) - 1)
    with pytest.raises(TrainingError, match=r"float\.tif: .*floating point"):
        read_rgb(tmp_path / "float.tif")
    with pytest.raises(TrainingError, match=r"deep\.tif: .*run from 0 to 199900, beyond 16 bits"):
        read_rgb(tmp_path / "deep.tif")
    with pytest.raises(TrainingError, match=r"negative\.tif: .*run from -1"):
        read_rgb(tmp_path / "negative.tif")
