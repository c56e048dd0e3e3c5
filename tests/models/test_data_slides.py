from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data_slides import read_slide, register, round_trip_db
from models.data_super_resolution import make_pair, read_pairs
from models.degrade import enlarge_bicubic, reduce_bicubic
from models.errors import TrainingError
from models.pairs import Pair, PairSet
from models.train_config import SourceConfig
from tests.models.array_slide import ArraySlide, centres, waves
from tests.models.examples import tissue

FIELD_PX = 128
NOISE = np.random.default_rng(0).integers(0, 250, (FIELD_PX, 4 * FIELD_PX, 3)).astype(np.uint8)
"""Four fields, as this slide is no higher than one: tissue that could not be sharper."""


def source(path: str = ".", **changes: Any) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind="slide", path=path, **changes)


def read(slide: ArraySlide, scale: int = 2, **changes: Any) -> PairSet:
    def make(name: str, patient: str, image: NDArray[np.uint8]) -> Pair:
        return make_pair(name, image, scale, patient=patient)

    return read_slide(source(**changes), slide, scale, 96, make)


def starts(pairs: PairSet, part: str) -> list[int]:
    return [int(pair.name.split()[-1]) for pair in getattr(pairs, part)]


def test_the_right_of_a_slide_is_kept_out_of_training() -> None:
    pairs = read(ArraySlide((NOISE,)), train_width=0.7)
    assert starts(pairs, "train") == [0, FIELD_PX]  # the third field lies across the border
    assert starts(pairs, "test") == [3 * FIELD_PX]
    assert pairs.train_patients == ("slide",)
    assert pairs.test_patients == ("slide, right of 0.7 of its width",)
    assert np.array_equal(pairs.train[1].high, NOISE[:, FIELD_PX : 2 * FIELD_PX])
    assert np.array_equal(pairs.train[1].low, reduce_bicubic(pairs.train[1].high, 2))


def test_glass_is_not_trained_on() -> None:
    level = NOISE.copy()
    level[:, FIELD_PX : 2 * FIELD_PX] = 255
    level[: FIELD_PX // 4, 2 * FIELD_PX :] = 255
    assert starts(read(ArraySlide((level,))), "train") == [0, 2 * FIELD_PX, 3 * FIELD_PX]
    assert starts(read(ArraySlide((level,)), least_tissue=0.9), "train") == [0]


def test_soft_fields_are_dropped_counted_and_named_unless_they_are_wanted(caplog: pytest.LogCaptureFixture) -> None:
    level = NOISE.copy()
    level[:, FIELD_PX : 2 * FIELD_PX] = enlarge_bicubic(level[: FIELD_PX // 8, : FIELD_PX // 8], 8)
    with caplog.at_level(logging.WARNING):
        pairs = read(ArraySlide((level,)))
    assert starts(pairs, "train") == [0, 2 * FIELD_PX, 3 * FIELD_PX]
    (skipped,) = pairs.skipped
    assert skipped.startswith(f"slide y 0 x {FIELD_PX}: soft, ")
    assert "1 of 4 tiles are not used" in caplog.text
    assert len(read(ArraySlide((level,)), sharpest_db=80.0).train) == 4


def test_detail_does_not_survive_a_round_trip_and_softness_does() -> None:
    image = tissue(256, 256)
    soft = enlarge_bicubic(reduce_bicubic(image, 4), 4)
    assert round_trip_db(NOISE) < 15
    assert round_trip_db(image) < 38 < round_trip_db(soft)
    assert round_trip_db(np.full((64, 64, 3), 9, np.uint8)) == np.inf


def test_a_slide_that_holds_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"of 0 fields of tissue none is left"):
        read(ArraySlide((np.full((FIELD_PX, FIELD_PX, 3), 255, np.uint8),)))
    with pytest.raises(TrainingError, match=r"of 4 fields of tissue none is left .*soft.*\n.*sharpest_db"):
        read(ArraySlide((NOISE,)), sharpest_db=1.0)


def test_fields_that_do_not_decode_are_named_and_the_others_go_on() -> None:
    pairs = read(ArraySlide((NOISE,), broken=lambda region: region.x == FIELD_PX))
    assert starts(pairs, "train") == [0, 2 * FIELD_PX, 3 * FIELD_PX]
    assert "cannot be decoded" in pairs.skipped[0]


def test_the_patient_of_a_slide_is_found_in_its_name() -> None:
    pairs = read(ArraySlide((NOISE,), name="TCGA-CR-7395-01Z"), patient="(.{12})")
    assert pairs.train_patients == ("TCGA-CR-7395",)
    assert pairs.train[0].patient == "TCGA-CR-7395"


def two_levels(downsample: float, offset_px: float = 0.0) -> ArraySlide:
    low_length = int(1000 / downsample)
    lower = waves(centres(low_length, downsample, offset_px), centres(low_length, downsample))
    return ArraySlide((waves(centres(1000, 1), centres(1000, 1)), lower), (1, downsample))


def test_the_small_images_of_a_pyramid_are_the_slides_own(caplog: pytest.LogCaptureFixture) -> None:
    slide = two_levels(2.003)
    with caplog.at_level(logging.INFO):
        pairs = read(slide, degradation="pyramid", sharpest_db=99.0)
    (pair,) = pairs.train
    assert pair.low.shape == tuple(side // 2 if side > 3 else side for side in pair.high.shape)
    y, x = (int(word) for word in pair.name.split()[2::2])
    low_y = round(y / 2.003)
    assert any(
        np.array_equal(pair.low[:9, 0], slide.levels[1][low_y + step : low_y + step + 9, round(x / 2.003) + other])
        for step in (-1, 0, 1)
        for other in (-1, 0, 1)
    )
    assert pairs.degradation == "pyramid"
    assert pairs.registration is not None
    assert pairs.registration.downsample == 2.003
    assert pairs.registration.largest_offset_px < 0.3
    assert "2.003 times coarser" in caplog.text


@pytest.mark.parametrize("offset_px", [0.0, 0.5, -0.3])
def test_an_offset_between_levels_is_found_and_reported(offset_px: float) -> None:
    high, low = two_levels(2.0, offset_px).levels
    found = register("slide", [Pair("a", high, low)], 2.0)
    # Where the lower level looks further down, it shows what is there further up.
    assert found.median_offset_px[0] == pytest.approx(-offset_px, abs=0.06)
    assert found.median_offset_px[1] == pytest.approx(0, abs=0.06)
    assert found.largest_offset_px == pytest.approx(abs(offset_px), abs=0.06)


@pytest.mark.slides
def test_a_real_slides_levels_lie_on_each_other(data: Path) -> None:
    tcga = partial(source, "wsi/tcga-cr-7395-no-mpp.svs", degradation="pyramid", sharpest_db=99.0, train_width=0.5)
    pairs = read_pairs(tcga(), data, 2, seed=0, crop_px=96)
    assert pairs.registration is not None
    assert pairs.registration.downsample == 2
    assert pairs.registration.largest_offset_px < 0.1
    with pytest.raises(TrainingError, match="no level 4 times coarser"):
        read_pairs(tcga(), data, 4, seed=0, crop_px=96)
