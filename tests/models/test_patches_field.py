from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.errors import TrainingError
from models.patches_field import enlargement, fit_field, taken_px
from tests.models.examples import tissue

SIDES = st.integers(32, 500)


def test_a_patch_of_the_fields_size_is_left_as_it_is() -> None:
    image = tissue(50, 50)
    assert np.array_equal(fit_field(image, taken_px("a", (50, 50), 50, None), 50), image)
    assert np.array_equal(fit_field(image, taken_px("a", (50, 50), 50, 1.0), 50), image)


def test_without_a_resolution_the_largest_centre_square_becomes_the_field() -> None:
    image = np.random.default_rng(0).integers(0, 256, (460, 700, 3), np.uint8)
    side_px = taken_px("a", (460, 700), 224, None)
    centre = Image.fromarray(image[:, 120:580])
    assert side_px == 460
    expected = np.asarray(centre.resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(fit_field(image, side_px, 224) - expected)[2:-2, 2:-2].max() <= 1


def test_reducing_does_not_alias() -> None:
    lines = np.zeros((256, 256, 3), np.uint8)
    lines[:, ::2] = 255
    assert np.ptp(fit_field(lines, 256, 64)[4:-4, 4:-4].astype(int)) <= 2


def test_with_a_resolution_the_field_spans_as_many_um_as_the_network_sees() -> None:
    assert taken_px("a", (460, 700), 224, 0.5) == 448
    assert taken_px("a", (100, 100), 100, 2.0) == 50


def test_within_a_factor_of_1_25_the_own_px_are_used() -> None:
    assert taken_px("a", (60, 60), 50, 1.25) == 50
    assert taken_px("a", (60, 60), 50, 0.8) == 50


def test_a_patch_that_nearly_spans_the_field_is_used_whole() -> None:
    assert taken_px("a", (181, 200), 224, 1.0) == 181
    with pytest.raises(TrainingError, match=r"a: 200 x 179 px, where a field of 224 px spans 224 px.*\n.* 179 or less"):
        taken_px("a", (179, 200), 224, 1.0)


@given(SIDES, SIDES, SIDES, st.floats(0.1, 4))
def test_what_is_taken_lies_in_the_patch_and_is_shown_within_a_factor_of_1_25(
    height: int, width: int, field_px: int, ratio: float
) -> None:
    try:
        side_px = taken_px("a", (height, width), field_px, ratio)
    except TrainingError:
        assert min(height, width) * ratio * 1.25 <= field_px
        return
    assert 0 < side_px <= min(height, width)
    assert 1 / 1.2501 <= field_px / side_px / ratio <= 1.2501


@given(SIDES, SIDES, SIDES)
def test_every_field_has_the_size_that_is_asked_for(height: int, width: int, field_px: int) -> None:
    grey = np.full((height, width, 3), 77, np.uint8)
    field = fit_field(grey, taken_px("a", (height, width), field_px, None), field_px)
    assert field.shape == (field_px, field_px, 3)
    assert (field == 77).all()


def test_patches_narrower_than_32_px_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"^a\.png: 50 x 31 px, where patches have 32 px a side or more\n"):
        taken_px("a.png", (31, 50), 50, None)


def test_implausible_and_far_coarser_resolutions_are_refused() -> None:
    assert enlargement("a", 4.0, 2.0) == 2
    with pytest.raises(TrainingError, match=r"a: 0\.001 um per px is implausible"):
        enlargement("a", 0.001, 0.5)
    with pytest.raises(TrainingError, match=r"a: at 4 um per px it is 8 times coarser than the network's 0\.5"):
        enlargement("a", 4.0, 0.5)
