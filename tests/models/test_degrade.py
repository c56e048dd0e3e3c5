from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from models.degrade import (
    BY_LOT,
    Degradation,
    Scanner,
    cut_to_multiple,
    degrade,
    draw_scanner,
    enlarge_bicubic,
    reach_of,
    reduce_bicubic,
    reduce_bilinear,
    scan,
)
from models.errors import TrainingError
from tests.models.examples import tissue

TISSUE = tissue(320, 320)
COMPUTED: tuple[Degradation, ...] = ("bicubic_aa", "bilinear_aa", "blur_noise_jpeg", "box_jpeg")
CLEAN = Scanner(blur_sigma_px=1.5, photons_at_white=1e15, read_noise_levels=0, jpeg_quality=90)
"""A scanner whose noise is none, so that two scans of one place can be compared."""


@given(st.sampled_from(COMPUTED), st.sampled_from([2, 3, 4, 8]), st.integers(16, 60), st.integers(16, 60))
def test_every_degradation_divides_the_sides(kind: Degradation, scale: int, height: int, width: int) -> None:
    low = degrade(TISSUE[:height, :width], scale, kind, np.random.default_rng(0))
    assert low.shape == (height // scale, width // scale, 3)
    assert low.dtype == np.uint8


@pytest.mark.parametrize("kind", COMPUTED)
def test_what_exceeds_a_multiple_is_cut_off_not_squeezed(kind: Degradation) -> None:
    image = tissue(67, 66)
    whole, cut = (degrade(one, 4, kind, np.random.default_rng(0)) for one in (image, image[:64, :64]))
    assert np.array_equal(whole, cut)
    assert cut_to_multiple(image, 4).shape == (64, 64, 3)


def test_the_default_is_pillows_bicubic_rounded() -> None:
    image = tissue(64, 96)
    expected = np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(degrade(image, 2, "bicubic_aa", np.random.default_rng(0)), expected)


def test_reductions_are_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 255
    for reduce in (reduce_bicubic, reduce_bilinear):
        assert np.ptp(reduce(stripes, 2)[4:-4].astype(int)) <= 1


def test_a_flat_image_survives_both_ways() -> None:
    flat = np.full((16, 16, 3), 77, np.uint8)
    assert (enlarge_bicubic(reduce_bicubic(flat, 2), 2) == 77).all()


@pytest.mark.parametrize("kind", COMPUTED)
def test_a_degradation_follows_from_its_generator(kind: Degradation) -> None:
    one, same, other = (degrade(tissue(64, 64), 2, kind, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert np.array_equal(one, other) == (kind not in BY_LOT)


def test_scanners_are_as_different_as_the_method_says() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_scanner(rng) for _ in range(500)]
    ranges = {
        "blur_sigma_px": (0.2, 1.5),
        "jpeg_quality": (60, 95),
        "photons_at_white": (2e3, 2e4),
        "read_noise_levels": (0, 2),
    }
    for name, (least, most) in ranges.items():
        values = [getattr(one, name) for one in drawn]
        assert least <= min(values) < least + 0.1 * (most - least)
        assert most - 0.1 * (most - least) < max(values) <= most


def noise_of(scanner: Scanner, level: int) -> float:
    """The deviation of luma, whose noise JPEG leaves alone at quality 100: 0.668 of each channel's."""
    noisy = scan(np.full((256, 256, 3), level, np.uint8), 2, scanner, np.random.default_rng(0))
    return float(np.asarray(Image.fromarray(noisy).convert("L")).std()) / float(np.hypot.reduce([0.299, 0.587, 0.114]))


def test_shot_noise_grows_with_the_root_of_the_light() -> None:
    scanner = Scanner(blur_sigma_px=0.2, photons_at_white=2000, read_noise_levels=0, jpeg_quality=100)
    for level in (40, 160):
        assert noise_of(scanner, level) == pytest.approx(np.sqrt(level * 255 / 2000), rel=0.1)


def test_read_noise_does_not_depend_on_the_light() -> None:
    scanner = Scanner(blur_sigma_px=0.2, photons_at_white=1e15, read_noise_levels=4, jpeg_quality=100)
    for level in (40, 200):
        assert noise_of(scanner, level) == pytest.approx(4, rel=0.1)


def test_a_blurred_scan_is_further_off_and_so_is_a_compressed_one() -> None:
    sharp = Scanner(blur_sigma_px=0.2, photons_at_white=1e15, read_noise_levels=0, jpeg_quality=95)

    def error(scanner: Scanner) -> float:
        scanned = scan(TISSUE, 2, scanner, np.random.default_rng(0))
        return float(np.abs(scanned - reduce_bicubic(TISSUE, 2).astype(float)).mean())

    assert error(sharp) < error(replace(sharp, jpeg_quality=60))
    assert error(sharp) < error(replace(sharp, blur_sigma_px=1.5))


def clean(image: NDArray[np.uint8], scale: int, kind: Degradation) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return scan(image, scale, CLEAN, rng) if kind == "blur_noise_jpeg" else degrade(image, scale, kind, rng)


@given(st.data(), st.sampled_from(COMPUTED), st.sampled_from([2, 4]))
def test_a_crop_with_its_reach_is_degraded_as_the_whole_is(data: st.DataObject, kind: Degradation, scale: int) -> None:
    image = TISSUE[:256]
    sides = [data.draw(st.integers(0, length // scale - 24)) for length in image.shape[:2]]
    box = [slice(side, side + 24) for side in sides]
    outer = [
        reach_of(kind, scale).around(one, length // scale) for one, length in zip(box, image.shape[:2], strict=True)
    ]
    part = image[tuple(slice(one.start * scale, one.stop * scale) for one in outer)]
    whole, low = (clean(one, scale, kind) for one in (image, np.ascontiguousarray(part)))
    inner = tuple(slice(one.start - two.start, one.stop - two.start) for one, two in zip(box, outer, strict=True))
    different = low[inner] != whole[tuple(box)]
    # A sum that lies on the edge between two grey levels may be rounded either way before it is compressed.
    assert different.mean() < (0.05 if kind == "blur_noise_jpeg" else 1e-9)


def test_a_crop_without_its_reach_is_not() -> None:
    image = tissue(256, 256)
    whole, low = (scan(one, 2, CLEAN, np.random.default_rng(0)) for one in (image, image[38:86, 38:86]))
    assert (low != whole[19:43, 19:43]).mean() > 0.2


@pytest.mark.parametrize("kind", ["pyramid", "nearest"])
def test_what_is_not_made_from_an_image_is_refused(kind: Degradation) -> None:
    with pytest.raises(TrainingError, match=rf"{kind}.*\n.*bicubic_aa") as error:
        degrade(tissue(8, 8), 2, kind, np.random.default_rng(0))
    assert str(error.value).count("\n") == 1
