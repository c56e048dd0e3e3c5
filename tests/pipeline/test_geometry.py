import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.geometry import Box, Frame
from tests.strategies import boxes, boxes_in, frames, mpps

small_frames = frames(max_side_px=60)
small_boxes = boxes(reach_px=70)
factors = st.integers(1, 32)
scanner_mpps = st.floats(0.05, 20)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(y, x) for y in range(box.y, box.y_end) for x in range(box.x, box.x_end)}


# Boxes


def test_a_box_with_a_negative_side_is_refused() -> None:
    with pytest.raises(ValueError, match="negative side: -1 x 4 px"):
        Box(0, 0, -1, 4)


def test_a_box_is_told_in_words() -> None:
    assert f"at {Box(0, 512, 256, 128)}" == "at y 0, x 512, 256 x 128 px"


@given(small_boxes, small_boxes)
def test_clip_is_what_two_boxes_share(one: Box, other: Box) -> None:
    assert pixels(one.clip(other)) == pixels(one) & pixels(other)


@given(boxes(), boxes())
def test_clip_takes_either_box_first(one: Box, other: Box) -> None:
    assert one.clip(other) == other.clip(one)


@given(boxes(), boxes())
def test_clipping_twice_changes_nothing(one: Box, other: Box) -> None:
    assert one.clip(one.clip(other)) == one.clip(other)


@given(small_boxes, small_boxes)
def test_intersects_means_a_pixel_is_shared(one: Box, other: Box) -> None:
    assert one.intersects(other) == bool(pixels(one) & pixels(other))


@given(boxes(reach_px=20, min_side_px=1), boxes(reach_px=20, min_side_px=1))
def test_encloses_means_that_no_pixel_is_outside(one: Box, other: Box) -> None:
    assert one.encloses(other) == (pixels(other) <= pixels(one))


@given(boxes(min_side_px=1), st.data())
def test_a_box_contains_the_centres_of_its_pixels_and_not_the_far_edges(box: Box, data: st.DataObject) -> None:
    y, x = data.draw(st.integers(box.y, box.y_end - 1)), data.draw(st.integers(box.x, box.x_end - 1))
    assert box.contains(y, x)
    assert box.contains(y + 0.5, x + 0.5)
    assert not box.contains(box.y_end, x)
    assert not box.contains(y, box.x_end)


@given(boxes(), st.integers(0, 500))
def test_what_is_grown_can_be_shrunk_to_what_it_was(box: Box, margin_px: int) -> None:
    grown = box.grow(margin_px)
    assert grown.encloses(box)
    assert grown.grow(-margin_px) == box


@given(boxes(), boxes())
def test_relative_to_moves_and_keeps_the_shape(box: Box, outer: Box) -> None:
    moved = box.relative_to(outer)
    assert moved.shape == box.shape
    assert (moved.y + outer.y, moved.x + outer.x) == (box.y, box.x)


@given(small_frames, st.data())
def test_relative_slices_pick_the_same_pixels_from_a_crop(frame: Frame, data: st.DataObject) -> None:
    outer = data.draw(boxes_in(frame))
    inner = data.draw(boxes_in(Frame(*outer.shape, 1.0)))
    inner = Box(inner.y + outer.y, inner.x + outer.x, *inner.shape)
    image = np.arange(frame.box.area_px).reshape(frame.shape)
    crop = image[outer.slices()]
    np.testing.assert_array_equal(crop[inner.relative_to(outer).slices()], image[inner.slices()])


@given(boxes(), factors)
def test_over_undoes_times(box: Box, factor: int) -> None:
    assume(box.area_px)
    assert box.times(factor).over(factor) == box


@given(boxes(), factors, factors)
def test_times_twice_is_times_the_product(box: Box, one: int, other: int) -> None:
    assert box.times(one).times(other) == box.times(one * other)


@given(boxes(reach_px=40, min_side_px=1), st.integers(1, 9))
def test_over_holds_exactly_the_larger_pixels_that_are_touched(box: Box, divisor: int) -> None:
    assert pixels(box.over(divisor)) == {(y // divisor, x // divisor) for y, x in pixels(box)}


@given(boxes(min_side_px=1), factors)
def test_over_covers_the_box_and_wastes_less_than_a_larger_pixel(box: Box, divisor: int) -> None:
    covered = box.over(divisor).times(divisor)
    assert covered.encloses(box)
    assert max(box.y - covered.y, box.x - covered.x, covered.y_end - box.y_end, covered.x_end - box.x_end) < divisor


@given(boxes(), factors)
def test_over_of_nothing_is_nothing(box: Box, divisor: int) -> None:
    assert Box(box.y, box.x, 0, 0).over(divisor).area_px == 0


# Frames


@pytest.mark.parametrize(
    ("height", "width", "mpp"),
    [(0, 5, 1.0), (5, 0, 1.0), (5, 5, 0.0), (5, 5, -1.0), (5, 5, math.nan), (5, 5, math.inf)],
)
def test_a_frame_without_pixels_or_resolution_is_refused(height: int, width: int, mpp: float) -> None:
    with pytest.raises(ValueError, match="no frame of"):
        Frame(height, width, mpp)


@given(small_frames, st.integers(1, 70))
def test_a_partition_owns_every_pixel_once(frame: Frame, side_px: int) -> None:
    owners = np.zeros(frame.shape, int)
    for box in frame.partition(side_px):
        assert frame.box.encloses(box)
        assert box.area_px
        owners[box.slices()] += 1
    assert (owners == 1).all()


@given(small_frames, st.integers(1, 70), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_every_point_of_a_frame_has_one_owner(frame: Frame, side_px: int, down: float, right: float) -> None:
    y, x = down * frame.height, right * frame.width
    assume(frame.box.contains(y, x))
    assert sum(box.contains(y, x) for box in frame.partition(side_px)) == 1


@given(frames(2000), st.integers(100, 2000))
def test_a_partition_is_in_reading_order(frame: Frame, side_px: int) -> None:
    corners = [(box.y, box.x) for box in frame.partition(side_px)]
    assert corners == sorted(corners)


@given(frames())
def test_a_frame_at_its_own_resolution_is_itself(frame: Frame) -> None:
    assert frame.at(frame.mpp) == frame


@given(frames(), factors)
def test_going_finer_and_back_is_where_one_was(frame: Frame, factor: int) -> None:
    there = frame.finer(factor)
    assert there.shape == (frame.height * factor, frame.width * factor)
    assert there.at(frame.mpp).shape == frame.shape


@given(frames(200_000), factors)
def test_an_exact_ratio_of_two_resolutions_loses_and_gains_no_pixel(frame: Frame, factor: int) -> None:
    assert frame.at(frame.mpp / factor).shape == (frame.height * factor, frame.width * factor)
    coarser = frame.at(frame.mpp * factor)
    assert coarser.shape == (-(-frame.height // factor), -(-frame.width // factor))


@given(frames(200_000), mpps)
def test_a_frame_at_another_resolution_covers_the_slide_and_overhangs_by_less_than_a_pixel(
    frame: Frame, mpp: float
) -> None:
    other = frame.at(mpp)
    for size, size_there in zip(frame.shape, other.shape, strict=True):
        slack_um = 1e-5 * mpp
        assert size * frame.mpp <= size_there * mpp + slack_um
        assert (size_there - 1) * mpp < size * frame.mpp + slack_um


@given(frames(200_000), st.integers(0, 8))
def test_halving_doubles_the_resolution_exactly_and_rounds_odd_sides_up(frame: Frame, times: int) -> None:
    levels = [frame.halved(time) for time in range(times + 1)]
    assert levels[0] == frame
    for finer, coarser in pairwise(levels):
        assert coarser.mpp == 2 * finer.mpp
        assert coarser.shape == (-(-finer.height // 2), -(-finer.width // 2))
        assert finer.halved() == coarser


@given(frames(), st.data())
def test_a_frame_covers_a_box_of_its_own_with_that_box(frame: Frame, data: st.DataObject) -> None:
    box = data.draw(boxes_in(frame))
    assert frame.cover(box, frame) == box


@given(frames(), factors, st.data())
def test_covering_at_an_exact_ratio_is_times_and_over(frame: Frame, factor: int, data: st.DataObject) -> None:
    box = data.draw(boxes_in(frame))
    finer = frame.finer(factor)
    assert finer.cover(box, frame) == box.times(factor)
    inner = data.draw(boxes_in(finer))
    assert frame.cover(inner, finer) == inner.over(factor)


@given(frames(), mpps, st.data())
def test_a_cover_holds_the_box_and_wastes_less_than_a_pixel(frame: Frame, mpp: float, data: st.DataObject) -> None:
    other = frame.at(mpp)
    box = data.draw(boxes_in(frame))
    cover = other.cover(box, frame)
    slack_um = 1e-5 * mpp
    starts = ((cover.y, box.y), (cover.x, box.x))
    ends = ((cover.y_end, box.y_end), (cover.x_end, box.x_end))
    for there, here in starts:
        assert there * mpp - slack_um <= here * frame.mpp < (there + 1) * mpp + slack_um
    for there, here in ends:
        assert (there - 1) * mpp - slack_um < here * frame.mpp <= there * mpp + slack_um


@given(frames(), boxes(), mpps)
def test_a_cover_lies_in_its_frame(frame: Frame, box: Box, mpp: float) -> None:
    cover = frame.cover(box, Frame(1, 1, mpp))
    assert cover.area_px == 0 or frame.box.encloses(cover)


@given(frames(), mpps, st.data())
def test_covers_of_a_partition_leave_no_pixel_out(frame: Frame, mpp: float, data: st.DataObject) -> None:
    small = Frame(min(frame.height, 40), min(frame.width, 40), frame.mpp)
    other = Frame(min(frame.height, 30), min(frame.width, 30), mpp)
    reached = np.zeros(other.shape, bool)
    for box in small.partition(data.draw(st.integers(3, 40))):
        reached[other.cover(box, small).slices()] = True
    whole = other.cover(small.box, small)
    assert reached[whole.slices()].all()


@given(frames(), st.floats(0, 1000))
def test_a_length_in_um_takes_enough_pixels_and_no_more(frame: Frame, length_um: float) -> None:
    length_px = frame.um_to_px(length_um)
    assert length_px * frame.mpp >= length_um - 1e-5 * frame.mpp
    assert (length_px - 1) * frame.mpp < length_um + 1e-5 * frame.mpp


@given(scanner_mpps, st.integers(0, 10_000))
def test_a_length_of_whole_pixels_takes_just_those(mpp: float, length_px: int) -> None:
    assert Frame(1, 1, mpp).um_to_px(length_px * mpp) == length_px


@given(frames(), frames())
def test_pixels_per_another_frame_is_the_other_way_round_inverted(one: Frame, other: Frame) -> None:
    assert one.pixels_per(other) * other.pixels_per(one) == pytest.approx(1)
