from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from pipeline.geometry import Box
from pipeline.nuclei_enclosed import fill_enclosed
from pipeline.nuclei_outline import Outlines, Rings, draw, trace


def blobs(seed: int, shape: tuple[int, int] = (60, 70), grain_px: float = 2.0) -> NDArray[np.int32]:
    """4-connected regions of two interleaved kinds, so that many touch."""
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.standard_normal(shape), grain_px)
    ones, count = ndimage.label(noise > 0.4 * noise.std())
    others, _ = ndimage.label((noise < -0.1 * noise.std()) & (noise > -1.2 * noise.std()))
    return np.where(ones > 0, ones, np.where(others > 0, others + count, 0)).astype(np.int32)


def all_outlines(labels: NDArray[np.int32], origin: tuple[int, int] = (0, 0)) -> Outlines:
    return trace(labels, np.arange(1, labels.max() + 1), origin)


def rings_px(outlines: Outlines) -> list[NDArray[np.float64]]:
    return [
        outlines.corners_halfpx[begin:end] / 2
        for begin, end in zip(outlines.start[:-1], outlines.start[1:], strict=True)
    ]


def edges(rings: list[NDArray[np.float64]]) -> Rings:
    following = [np.roll(ring, -1, axis=0) for ring in rings]
    (y0, x0), (y1, x1) = np.concatenate(rings).T, np.concatenate(following).T
    return Rings(y0, x0, y1, x1, np.repeat(np.arange(len(rings)), [len(ring) for ring in rings]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.7, 1.5, 4.0]))
def test_drawing_the_outlines_gives_back_the_labels(seed: int, grain_px: float) -> None:
    labels = fill_enclosed(blobs(seed, grain_px=grain_px))
    values = np.arange(1, labels.max() + 1, dtype=np.uint32)
    drawn = draw(edges(rings_px(all_outlines(labels))), values, Box(0, 0, *labels.shape))
    assert (drawn == labels).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.7, 1.5, 4.0]))
def test_outlines_are_simple_counter_clockwise_and_without_idle_corners(seed: int, grain_px: float) -> None:
    labels = fill_enclosed(blobs(seed, grain_px=grain_px))
    outlines = all_outlines(labels)
    polygons = [shapely.Polygon(ring[:, ::-1]) for ring in rings_px(outlines)]
    assert all(polygon.is_valid and polygon.exterior.is_ccw for polygon in polygons)
    assert np.allclose(shapely.area(polygons), outlines.area_px)
    assert np.allclose(shapely.length(polygons), outlines.perimeter_px)
    assert np.array_equal(outlines.area_px, np.bincount(labels.ravel())[1:] - 0.5)
    for ring in rings_px(outlines):
        before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
        assert (before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]).all()


def test_an_outline_is_the_iso_contour_of_marching_squares() -> None:
    mask = fill_enclosed(blobs(5, grain_px=4.0)) == 1
    (outline,) = rings_px(trace(mask.astype(np.int32), np.array([1]), (0, 0)))
    (contour,) = find_contours(np.pad(mask.astype(float), 1), 0.5)
    ours, theirs = shapely.Polygon(outline), shapely.Polygon(contour - 0.5)  # from centres to corners, less the padding
    assert ours.equals(theirs)


def test_outlines_do_not_depend_on_the_tile_they_are_traced_in() -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[10:20, 12:31] = 1
    labels[15:25, 20:26] = 1
    part = trace(labels[5:30, 10:], np.array([1]), (5, 10))
    assert np.array_equal(part.corners_halfpx, trace(labels, np.array([1]), (0, 0)).corners_halfpx)


def test_only_wanted_labels_are_traced_in_the_order_asked_for() -> None:
    labels = np.zeros((10, 30), np.int32)
    labels[2:5, 2:5], labels[2:6, 10:14], labels[2:8, 20:26] = 1, 2, 3
    assert trace(labels, np.array([3, 1]), (0, 0)).area_px.tolist() == [35.5, 8.5]
    assert len(trace(labels, np.zeros(0, np.int64), (0, 0)).area_px) == 0


def test_pixels_that_meet_at_a_corner_alone_are_kept_apart() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1:5, 1:5] = 1
    labels[2, 2] = labels[1, 1] = 0  # the hole opens to the outside over a corner
    (ring,) = rings_px(all_outlines(labels))
    assert shapely.Polygon(ring).is_valid
    assert shapely.Polygon(ring).area == 13.5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40))
def test_what_is_drawn_does_not_depend_on_the_box(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    rings = [random.uniform(-10, 70, 2) + random.uniform(-9, 9, (random.integers(3, 9), 2)) for _ in range(30)]
    values = random.permutation(30).astype(np.uint32) + 1
    whole = draw(edges(rings), values, Box(0, 0, 60, 60))
    box = Box(int(random.integers(0, 20)), int(random.integers(0, 20)), height, width)
    assert (draw(edges(rings), values, box) == whole[box.slices()]).all()


def test_a_pixel_belongs_to_the_polygon_that_holds_its_centre_the_lowest_number_of_several() -> None:
    random = np.random.default_rng(4)
    polygons = shapely.buffer(shapely.points(random.uniform(5, 45, (12, 2))), random.uniform(2, 9, 12))
    rings = [shapely.get_coordinates(polygon)[:-1, ::-1] for polygon in polygons]
    values = random.permutation(12).astype(np.uint32) + 1
    drawn = draw(edges(rings), values, Box(0, 0, 50, 50))
    y, x = np.mgrid[:50, :50] + 0.5
    expected = np.full((50, 50), 99)
    for polygon, value in zip(polygons, values, strict=True):
        expected = np.where(shapely.contains_xy(polygon, x, y), np.minimum(expected, value), expected)
    assert (drawn == np.where(expected == 99, 0, expected)).all()


ODD_SHAPES = {
    "a single pixel": ["#"],
    "a thread": ["#####"],
    "a staircase": ["##...", ".##..", "..##.", "...##"],
    "a neck of one pixel": ["###.###", "#######", "###.###"],
    "two halves that meet at a corner inside": ["####", "#.##", "##.#", "####"],
    "a mouth that closes over a corner": ["####", "#..#", "##.#", "###."],
    "a comb": ["#.#.#.#", "#.#.#.#", "#######"],
    "a cross": [".#.", "###", ".#."],
    "a spiral": ["#####", "#...#", "#.#.#", "#.###", "#...."],
}


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_outlines_of_odd_shapes_are_valid_and_hold_their_pixels(shape: str) -> None:
    mask = np.array([[pixel == "#" for pixel in row] for row in ODD_SHAPES[shape]])
    labels = fill_enclosed(mask.astype(np.int32))
    (ring,) = rings_px(all_outlines(labels))
    polygon = shapely.Polygon(ring[:, ::-1])
    assert polygon.is_valid
    assert polygon.is_simple
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    assert (shapely.contains_xy(polygon, x, y) == (labels > 0)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**25 - 1))
def test_the_outline_of_any_region_of_5_x_5_pixels_is_valid(bits: int) -> None:
    """Every way in which pixels can meet at sides and corners is among them."""
    mask = np.array([bits >> place & 1 for place in range(25)], bool).reshape(5, 5)
    labels = fill_enclosed(ndimage.label(mask, output=np.int32)[0])
    polygons = [shapely.Polygon(ring[:, ::-1]) for ring in rings_px(all_outlines(labels))]
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == (labels > 0).sum() - 0.5 * len(polygons)
