from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import hed_from_rgb, separate_stains
from skimage.measure import regionprops_table

from pipeline.geometry import Box, Frame
from pipeline.nuclei_measure import SCHEMA, Seen, measure
from tests.pipeline.nuclei_maps import discs, frame_of, random_pixels

LABELS = discs((90, 110), [(20.0, 20.0, 12.0), (20.0, 41.0, 11.0), (60.0, 70.0, 20.0), (75.0, 12.0, 6.0)])
LABELS[40:43, 5:30] = 5


def everything(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isfinite(y + x)


def table_of(labels: NDArray[np.int32], mpp: float = 0.25, level0_mpp: float = 0.25) -> pa.Table:
    frame = frame_of(labels, mpp)
    chances = np.random.default_rng(0).uniform(0.5, 1, labels.shape).astype(np.float32)
    seen = Seen(frame.box, random_pixels(0, labels.shape), chances)
    return measure(labels, seen, frame, frame.at(level0_mpp), everything)


def of_points(axis_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """scikit-image takes pixels for points; we, like MATLAB, for squares, whose own variance is 1/12."""
    return np.sqrt(np.maximum(axis_px**2 - 16 / 12, 0))


def test_shapes_are_those_of_scikit_image() -> None:
    names = ("centroid", "axis_major_length", "axis_minor_length", "area", "intensity_mean")
    chances = np.random.default_rng(0).uniform(0.5, 1, LABELS.shape).astype(np.float32)
    expected = regionprops_table(LABELS, chances, properties=names)
    order = np.lexsort((expected["centroid-1"], expected["centroid-0"]))
    table = table_of(LABELS)
    ours = {
        "centroid-0": table["centroid_y_level0_px"].to_numpy() - 0.5,
        "centroid-1": table["centroid_x_level0_px"].to_numpy() - 0.5,
        "axis_major_length": of_points(table["major_axis_um"].to_numpy() / 0.25),
        "axis_minor_length": of_points(table["minor_axis_um"].to_numpy() / 0.25),
        "area": table["area_level0_px"].to_numpy() + 0.5,
        "intensity_mean": table["probability"].to_numpy(),
    }
    for name, values in ours.items():
        assert values == pytest.approx(expected[name][order], rel=1e-6, abs=1e-6), name
    ratio = table["minor_axis_um"].to_numpy() / table["major_axis_um"].to_numpy()
    assert table["eccentricity"].to_numpy() == pytest.approx(np.sqrt(1 - ratio**2))


@pytest.mark.parametrize("level0_mpp", [0.25, 0.2271, 0.5, 0.499])
def test_polygons_and_areas_agree_in_every_unit(level0_mpp: float) -> None:
    table = table_of(LABELS, 0.25, level0_mpp)
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons) == pytest.approx(table["area_level0_px"].to_numpy())
    assert shapely.area(polygons) * level0_mpp**2 == pytest.approx(table["area_um2"].to_numpy())
    assert shapely.length(polygons) * level0_mpp == pytest.approx(table["perimeter_um"].to_numpy())
    assert table["centroid_x_level0_px"].to_numpy() * level0_mpp == pytest.approx(table["centroid_x_um"].to_numpy())
    centres = shapely.centroid(polygons)
    assert shapely.get_y(centres) == pytest.approx(table["centroid_y_level0_px"].to_numpy(), abs=0.5)


def test_circularity_is_at_most_one_and_lowest_for_a_thread() -> None:
    circularity = table_of(LABELS)["circularity"].to_numpy()
    assert circularity.max() <= 1
    assert circularity.argmin() == 2  # the thread is third from above
    assert circularity[circularity.argmin()] < 0.5


def test_a_nucleus_is_measured_the_same_from_any_box() -> None:
    frame, read = Frame(90, 110, 0.25), Box(30, 40, 55, 60)
    chances = np.random.default_rng(1).random(LABELS.shape, np.float32)
    pixels = random_pixels(1, LABELS.shape)
    seen = Seen(frame.box, pixels, chances)
    whole = measure(LABELS, seen, frame, frame, lambda y, x: (y > 50) & (x > 50))
    part = (LABELS[read.slices()] == 3).astype(np.int32)
    seen_in_part = Seen(read, pixels[read.slices()], chances[read.slices()])
    assert measure(part, seen_in_part, frame, frame, everything).equals(whole)


def test_rows_are_sorted_by_centroid_and_have_the_agreed_columns() -> None:
    table = table_of(LABELS)
    assert table.schema.equals(SCHEMA)
    places = list(zip(table["centroid_y_um"].to_pylist(), table["centroid_x_um"].to_pylist(), strict=True))
    assert places == sorted(places)


def test_nothing_gives_a_table_of_no_rows() -> None:
    table = table_of(np.zeros((10, 12), np.int32))
    assert table.num_rows == 0
    assert table.schema.equals(SCHEMA)


def test_stains_are_those_that_scikit_image_unmixes() -> None:
    """Where nothing is clipped: light of at least 1, stains above 0."""
    random = np.random.default_rng(3)
    stains = random.uniform(0.05, 0.5, (*LABELS.shape, 3))
    light = np.rint(255 * 10 ** -(stains @ np.linalg.inv(hed_from_rgb))).clip(1, 255).astype(np.uint8)
    frame = frame_of(LABELS)
    table = measure(LABELS, Seen(frame.box, light, np.ones(LABELS.shape, np.float32)), frame, frame, everything)
    # scikit-image takes logarithms to the base 1e-6, and clips below 0.
    unmixed = -separate_stains(light, hed_from_rgb) * np.log10(1e-6)
    rows = np.argsort([np.nonzero(np.equal(LABELS, label))[0].mean() for label in range(1, 6)])
    for channel, name in enumerate(("hematoxylin_od", "eosin_od")):
        expected = np.array([unmixed[np.equal(LABELS, label), channel].mean() for label in range(1, 6)])
        assert table[name].to_numpy() == pytest.approx(expected[rows], abs=2e-3)


def test_white_has_no_stain_and_black_has_a_finite_one() -> None:
    frame = frame_of(LABELS)
    for grey, least, most in ((255, 0.0, 0.0), (0, 0.5, 3.0)):
        seen = Seen(frame.box, np.full((*LABELS.shape, 3), grey, np.uint8), np.ones(LABELS.shape, np.float32))
        found = measure(LABELS, seen, frame, frame, everything)["hematoxylin_od"].to_numpy()
        assert ((found >= least) & (found <= most)).all()


@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40))
def test_stains_are_the_same_to_the_bit_from_any_box(seed: int, top: int, left: int) -> None:
    frame, read = Frame(90, 110, 0.25), Box(top, left, 90 - top, 110 - left)
    pixels, chances = random_pixels(seed, LABELS.shape), np.random.default_rng(seed).random(LABELS.shape, np.float32)
    labels = np.where(LABELS == 3, 1, 0).astype(np.int32)  # lies within every such box
    whole = measure(labels, Seen(frame.box, pixels, chances), frame, frame, everything)
    part = Seen(read, pixels[read.slices()], chances[read.slices()])
    assert measure(labels[read.slices()], part, frame, frame, everything).equals(whole)
