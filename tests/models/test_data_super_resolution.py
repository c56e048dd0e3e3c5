from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.data_super_resolution import (
    FIELD_PX,
    draw_pair,
    enlarge_bicubic,
    is_tissue,
    make_pair,
    read_pairs,
    reduce_bicubic,
)
from models.train_config import SourceConfig
from tests.models.examples import tissue


def source(kind: str, path: str, **changes: object) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind=kind, path=path, **changes)  # type: ignore[arg-type]


def test_a_pair_is_an_image_and_its_rounded_reduction() -> None:
    pair = make_pair("a", tissue(65, 67), 2)
    assert pair.high.shape == (64, 66, 3)
    assert pair.low.shape == (32, 33, 3)
    assert np.array_equal(pair.low, reduce_bicubic(pair.high, 2))


def test_reduction_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 255
    assert np.ptp(reduce_bicubic(stripes, 2)[4:-4].astype(int)) <= 1


def test_a_flat_image_survives_both_ways() -> None:
    flat = np.full((16, 16, 3), 77, np.uint8)
    assert (enlarge_bicubic(reduce_bicubic(flat, 2), 2) == 77).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_crops_of_high_and_low_show_the_same_place(tmp_path: Path, scale: int) -> None:
    Image.fromarray(tissue(128, 96)).save(tmp_path / "a.png")
    pairs = read_pairs(source("images", "."), tmp_path, scale, seed=0)
    for seed in range(8):
        low, high = draw_pair([pairs], 48, scale, np.random.default_rng(seed))
        assert high.shape == (48, 48, 3)
        assert low.shape == (48 // scale, 48 // scale, 3)
        # All but the crop's border, which the whole image's reduction saw more of.
        difference = reduce_bicubic(np.ascontiguousarray(high), scale).astype(int) - low
        assert np.abs(difference[3:-3, 3:-3]).max() <= 1


def test_images_are_split_by_patient(tmp_path: Path) -> None:
    for name in ("p1-a", "p1-b", "p2-a", "p3-a"):
        Image.fromarray(tissue(16, 16)).save(tmp_path / f"{name}.png")
    config = source("images", ".", patient=r"(p\d)", test=("p1",), validation=("p2",))
    pairs = read_pairs(config, tmp_path, 2, seed=0)
    assert [len(part) for part in (pairs.train, pairs.validation, pairs.test)] == [1, 1, 2]
    assert pairs.test_patients == ("p1",)


def test_the_right_of_a_slide_is_kept_out_of_training(tmp_path: Path) -> None:
    slide = np.full((FIELD_PX, 4 * FIELD_PX, 3), 255, np.uint8)
    for column in range(4):  # columns of colour that say where they are; the third is glass
        if column != 2:
            slide[:, column * FIELD_PX : (column + 1) * FIELD_PX] = (200, 40 * column, 100)
    tifffile.imwrite(tmp_path / "s.tif", slide, tile=(256, 256), photometric="rgb")
    pairs = read_pairs(source("slide", "s.tif", train_width=0.75), tmp_path, 2, seed=0)
    assert [int(pair.high[0, 0, 1]) for pair in pairs.train] == [0, 40]
    assert [int(pair.high[0, 0, 1]) for pair in pairs.test] == [120]


def test_glass_is_no_tissue() -> None:
    assert is_tissue(tissue(256, 256))
    assert not is_tissue(np.full((256, 256, 3), 240, np.uint8))
