from __future__ import annotations

import logging

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TrainingError
from models.nuclei_outlines import Ring, draw, enclosed, mend, refuse_elsewhere
from tests.models.nuclei_drawings import discs, outlines_of, renumbered

SQUARE = np.array([(2, 2), (8, 2), (8, 8), (2, 8)], float)
EIGHT = np.array([(2, 2), (10, 10), (10, 2), (2, 10)], float)
LOOPED = np.array([(2, 2), (20, 2), (20, 20), (6, 20), (6, 6), (24, 6), (24, 24), (2, 24)], float)


def test_outlines_drawn_around_labels_give_the_labels_back() -> None:
    outlines = mend([ring] for ring in outlines_of(discs()))
    assert np.array_equal(draw(outlines.nuclei, discs().shape), renumbered(discs()))
    assert (outlines.repaired, outlines.skipped) == (0, 0)


def test_a_px_belongs_to_the_outline_that_holds_its_centre() -> None:
    labels = draw(mend([[SQUARE]]).nuclei, (10, 10))
    expected = np.zeros((10, 10), np.int32)
    expected[2:8, 2:8] = 1
    assert np.array_equal(labels, expected)
    assert np.array_equal(draw(mend([[SQUARE + 0.4]]).nuclei, (10, 10)), expected)


def test_an_eight_keeps_both_halves() -> None:
    outlines = mend([[EIGHT]])
    assert outlines.repaired == 1
    assert outlines.nuclei[0].area == pytest.approx(32)


def test_what_is_enclosed_twice_is_no_hole() -> None:
    whole = enclosed(np.concatenate([LOOPED, LOOPED[:1]]))
    assert whole.is_valid
    assert whole.contains(shapely.Point(10, 10))
    assert len(whole.interiors) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12))
def test_whatever_the_corners_outlines_are_valid_or_skipped(corners: list[tuple[int, int]]) -> None:
    outlines = mend([[np.array(corners, float)]])
    assert len(outlines.nuclei) + outlines.skipped == 1
    assert all(one.is_valid and one.area > 0 for one in outlines.nuclei)
    assert draw(outlines.nuclei, (30, 30)).max() <= 1


@pytest.mark.parametrize("ring", [SQUARE[:2], SQUARE[:1].repeat(5, axis=0), SQUARE * np.nan, np.zeros((0, 2))])
def test_lines_that_enclose_nothing_are_skipped_and_counted(ring: Ring, caplog: pytest.LogCaptureFixture) -> None:
    outlines = mend([[SQUARE], [ring], [EIGHT]])
    assert (len(outlines.nuclei), outlines.repaired, outlines.skipped) == (2, 1, 1)
    with caplog.at_level(logging.WARNING):
        outlines.report("slide.xml")
    assert "slide.xml: outlines that cross themselves, mended: 1; unusable, skipped: 1; of 3" in caplog.text


def test_the_smaller_of_two_that_overlap_keeps_the_px_whatever_their_order() -> None:
    small, large = SQUARE, SQUARE * 2
    for rings, number in (((small, large), 1), ((large, small), 2)):
        labels = draw(mend([ring] for ring in rings).nuclei, (20, 20))
        assert (labels[2:8, 2:8] == number).sum() == 36
        assert set(np.unique(labels)) == {0, 1, 2}


def test_a_nucleus_in_two_parts_has_one_number() -> None:
    labels = draw(mend([[SQUARE, SQUARE + 20]]).nuclei, (40, 40))
    assert labels[5, 5] == labels[25, 25] == 1


def test_what_lies_outside_the_image_is_cut_off() -> None:
    labels = draw(mend([[SQUARE - 5], [SQUARE + 100]]).nuclei, (10, 10))
    assert (labels == 1).sum() == 9
    assert labels.max() == 1


def test_no_outlines_make_an_image_without_nuclei() -> None:
    assert not draw([], (4, 5)).any()
    refuse_elsewhere(mend([]), (4, 5), "a.xml", "a.tif")


def test_outlines_of_another_level_are_refused() -> None:
    outlines = mend([[SQUARE * 100], [SQUARE * 120], [SQUARE]])
    with pytest.raises(TrainingError, match=r"a\.xml: 2 of 3 outlines lie outside a\.tif of 60 x 50 px"):
        refuse_elsewhere(outlines, (50, 60), "a.xml", "a.tif")
    refuse_elsewhere(outlines, (5000, 5000), "a.xml", "a.tif")
