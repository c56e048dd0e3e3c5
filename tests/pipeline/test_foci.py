import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import label, regionprops

from pipeline.foci import FociTracer, Focus
from pipeline.geometry import Box


def traced(whole: NDArray[np.bool_], cuts: list[int]) -> list[Focus]:
    tracer = FociTracer()
    for strip in np.split(whole, cuts):
        if len(strip):
            tracer.add(strip)
    return tracer.foci()


@given(st.integers(0, 99), st.floats(0.05, 0.7), st.lists(st.integers(0, 40), max_size=6))
def test_foci_are_those_of_the_whole_map_wherever_it_is_cut_into_strips(
    seed: int, density: float, cuts: list[int]
) -> None:
    whole = np.random.default_rng(seed).random((40, 30)) < density
    expected = sorted(
        (-region.area, *region.bbox, *(place + 0.5 for place in region.centroid))
        for region in regionprops(label(whole, connectivity=2))
    )
    found = sorted(
        (-focus.area_px, focus.box.y, focus.box.x, focus.box.y_end, focus.box.x_end, focus.y_px, focus.x_px)
        for focus in traced(whole, sorted(cuts))
    )
    assert len(found) == len(expected)
    np.testing.assert_allclose(np.array(found), np.array(expected))


def test_the_largest_focus_comes_first_and_says_where_it_lies() -> None:
    whole = np.zeros((60, 80), np.bool_)
    whole[5:10, 70:75] = whole[20:50, 10:30] = True
    assert traced(whole, [16, 32, 48]) == [
        Focus(600, Box(20, 10, 30, 20), 35.0, 20.0), Focus(25, Box(5, 70, 5, 5), 7.5, 72.5),
    ]  # fmt: skip


@pytest.mark.parametrize("cut", [3, 4, 5])
def test_pixels_that_touch_at_a_corner_are_one_focus(cut: int) -> None:
    assert [focus.area_px for focus in traced(np.eye(8, dtype=np.bool_)[:, ::-1], [cut])] == [8]


def test_a_map_without_any_has_no_foci() -> None:
    assert traced(np.zeros((9, 9), np.bool_), [4]) == []
    assert FociTracer().foci() == []
