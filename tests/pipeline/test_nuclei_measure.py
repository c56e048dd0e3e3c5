from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from pipeline.geometry import Box, Frame
from pipeline.nuclei_measure import SCHEMA, measure
from tests.pipeline.nuclei_maps import discs, frame_of

LABELS = discs((90, 110), [(20.0, 20.0, 12.0), (20.0, 41.0, 11.0), (60.0, 70.0, 20.0), (75.0, 12.0, 6.0)])
LABELS[40:43, 5:30] = 5


def everything(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isfinite(y + x)


def table_of(labels: NDArray[np.int32], mpp: float = 0.25, level0_mpp: float = 0.25) -> pa.Table:
    frame = frame_of(labels, mpp)
    chances = np.random.default_rng(0).uniform(0.5, 1, labels.shape).astype(np.float32)
    return measure(labels, chances, frame.box, frame, frame.at(level0_mpp), everything)


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
    whole = measure(LABELS, chances, frame.box, frame, frame, lambda y, x: (y > 50) & (x > 50))
    part = (LABELS[read.slices()] == 3).astype(np.int32)
    assert measure(part, chances[read.slices()], read, frame, frame, everything).equals(whole)


def test_rows_are_sorted_by_centroid_and_have_the_agreed_columns() -> None:
    table = table_of(LABELS)
    assert table.schema.equals(SCHEMA)
    places = list(zip(table["centroid_y_um"].to_pylist(), table["centroid_x_um"].to_pylist(), strict=True))
    assert places == sorted(places)


def test_nothing_gives_a_table_of_no_rows() -> None:
    table = table_of(np.zeros((10, 12), np.int32))
    assert table.num_rows == 0
    assert table.schema.equals(SCHEMA)
