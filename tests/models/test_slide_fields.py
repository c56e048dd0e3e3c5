from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.errors import TrainingError
from models.slide_fields import FIELD_PX, Fields, Lower, View, lay_fields, view_at
from tests.models.array_slide import ArraySlide, centres, waves
from tests.models.examples import tissue


def blank(*shapes: tuple[int, int], mpp: float | None = None, downsamples: tuple[float, ...] = (1.0,)) -> ArraySlide:
    return ArraySlide(tuple(np.zeros((*shape, 3), np.uint8) for shape in shapes), downsamples, mpp)


PYRAMID = blank((4096, 3000), (1024, 750), (512, 375), mpp=0.25, downsamples=(1, 4, 8))


@pytest.mark.parametrize(
    ("mpp", "level", "ratio"),
    [(None, 0, 1), (0.25, 0, 1), (0.3, 0, 1), (0.9, 1, 1), (0.5, 0, 2), (1.5, 1, 1.5), (2.4, 2, 1)],
)
def test_a_level_near_enough_is_taken_as_it_is_and_a_finer_one_reduced(
    mpp: float | None, level: int, ratio: float
) -> None:
    view = view_at(PYRAMID, mpp)
    assert (view.level, view.ratio) == (level, ratio)
    assert view.shape == tuple(int(side / ratio) for side in PYRAMID.shapes[level])


def test_a_resolution_that_the_slide_does_not_have_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"wanted at 0\.1 um per px, but scanned at 0\.25"):
        view_at(PYRAMID, 0.1)
    with pytest.raises(TrainingError, match=r"nobody says.*\n.*slide_mpp"):
        view_at(blank((64, 64)), 0.5)


@pytest.mark.parametrize("ratio", [2.0, 1.7])
def test_a_reduced_view_is_the_same_whatever_square_is_read(ratio: float) -> None:
    view = View(ArraySlide((tissue(240, 240),)), 0, ratio)
    whole, part = view.read(0, 0, 120 if ratio == 2 else 140), view.read(31, 17, 64)
    assert np.abs(part.astype(int) - whole[31:95, 17:81]).max() <= 1
    if ratio == 2:
        assert np.array_equal(
            whole, np.asarray(Image.fromarray(tissue(240, 240)).resize((120, 120), Image.Resampling.BICUBIC))
        )


def test_fields_are_of_1024_px_side_by_side() -> None:
    fields = lay_fields(view_at(PYRAMID, None), 2, 96, pyramid=False)
    assert fields.side_px == FIELD_PX
    assert list(fields.places()) == [(y, x) for y in (0, 1024, 2048, 3072) for x in (0, 1024)]


def test_fields_of_a_small_slide_are_as_large_as_it_is() -> None:
    assert lay_fields(View(blank((500, 301)), 0), 4, 96, pyramid=False).side_px == 300
    with pytest.raises(TrainingError, match=r"fields of 80 px.*crops of 96 px"):
        lay_fields(View(blank((500, 83)), 0), 4, 96, pyramid=False)


@pytest.mark.parametrize("scale", [2, 16])
def test_a_scale_that_no_level_has_is_refused(scale: int) -> None:
    with pytest.raises(TrainingError, match=rf"no level {scale} times coarser than level 0 \(downsamples: 1, 4, 8\)"):
        lay_fields(view_at(PYRAMID, None), scale, 96, pyramid=True)
    with pytest.raises(TrainingError, match="which is no level of it"):
        lay_fields(view_at(PYRAMID, 0.5), 4, 96, pyramid=True)


def test_a_lower_level_is_looked_for_from_the_view_on() -> None:
    assert lay_fields(view_at(PYRAMID, None), 4, 96, pyramid=True).lower == Lower(1, 4)
    assert lay_fields(view_at(PYRAMID, 1.0), 2, 96, pyramid=True).lower == Lower(2, 2)


@pytest.mark.parametrize(
    ("downsample", "side_px"), [(4, 1024), (3.9996, 1024), (4.0013, 1024), (4.02, 200), (4.039, 100)]
)
def test_fields_are_as_small_as_keeps_the_drift_in_them_under_half_a_px(downsample: float, side_px: int) -> None:
    slide = blank((4096, 4096), (int(4096 / downsample),) * 2, downsamples=(1, downsample))
    fields = lay_fields(View(slide, 0), 4, 96, pyramid=True)
    assert fields.side_px == side_px
    assert fields.side_px / 2 * abs(downsample / 4 - 1) <= 0.5


@pytest.mark.parametrize("downsample", [2.0, 1.9982, 2.0113])
def test_a_field_and_its_place_in_the_lower_level_show_the_same_far_from_the_corner_too(downsample: float) -> None:
    length, low_length = 1200, int(1200 / downsample)
    upper = waves(centres(length, 1), centres(length, 1))
    lower = waves(centres(low_length, downsample), centres(low_length, downsample))
    fields = Fields(View(ArraySlide((upper, lower), (1, downsample)), 0), 96, 2, Lower(1, downsample))
    places = list(fields.places())
    assert len(places) >= 121
    for y, x in (places[0], places[len(places) // 2], places[-1]):
        high, low = fields.read(y, x), fields.read_lower(y, x)
        assert low.shape == (48, 48, 3)
        beneath = high.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
        shifted = np.abs(beneath[:, 1:] - low[:, :-1]).mean()
        assert np.abs(beneath - low).mean() < shifted / 2
