from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cohort_outliers import LEAST_SLIDES, outliers

USUAL = [(f"s{index}", 1000 * 1.1 ** (index % 5)) for index in range(20)]


def test_a_slide_far_above_and_one_far_below_are_named_farthest_first() -> None:
    found = outliers([*USUAL, ("dense", 9000.0), ("sparse", 50.0)])
    assert [(one.slide, one.score > 0) for one in found] == [("sparse", False), ("dense", True)]
    assert found[0].median == sorted(value for _, value in [*USUAL, ("", 9000.0), ("", 50.0)])[11]


def test_scores_are_those_of_iglewicz_and_hoaglin() -> None:
    values = [1.0, 1.1, 1.21, 1.331, 1.4641, 1.61051, 1.771561, 100.0, 1.0]
    (found,) = outliers([(str(index), value) for index, value in enumerate(values)])
    # Logarithms to the base 1.1 are 0 1 2 3 4 5 6 48.3 0: median 3, distances 3 2 1 0 1 2 3 45.3 3, their median 2.
    assert math.isclose(found.score, 0.6745 * (math.log(100, 1.1) - 3) / 2, rel_tol=1e-9)


def test_a_slide_without_any_stands_out() -> None:
    (found,) = outliers([*USUAL, ("empty", 0.0)])
    assert (found.slide, found.score) == ("empty", -math.inf)


def test_few_slides_tell_nothing() -> None:
    assert outliers([("a", 1.0)] * (LEAST_SLIDES - 2) + [("b", 1e9)]) == []


@given(st.floats(0.1, 1e6), st.integers(LEAST_SLIDES, 30), st.floats(0.96, 1.04))
def test_slides_that_are_alike_but_for_a_few_percent_do_not_stand_out(value: float, count: int, times: float) -> None:
    assert outliers([("s", value)] * count + [("other", value * times)]) == []


@given(st.lists(st.floats(0, 1e9), max_size=40), st.floats(0.5, 2000))
def test_the_unit_does_not_matter(values: list[float], unit: float) -> None:
    named = [(str(index), value) for index, value in enumerate(values) if value == 0 or value > 1e-9]
    scaled = [(name, value * unit) for name, value in named]
    clear = {one.slide for one in outliers(named) if abs(abs(one.score) - 3.5) > 1e-6}
    assert clear <= {one.slide for one in outliers(scaled)}
