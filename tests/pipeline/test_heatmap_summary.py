import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.heatmap_summary import decide, operating_point, summarise_heatmap
from pipeline.ngff import Heatmap, Pyramid
from pipeline.store import SlideStore

FRAME = Frame(400, 300, 4.0)
LEVEL0 = Frame(3200, 2400, 0.5)
PX_MM2 = 16e-6


def stored(folder: Path, values: NDArray[np.float32], tissue: NDArray[np.bool_] | None = None) -> SlideStore:
    """A store with a heat map (y, x, classes) and the mask on the same pixels."""
    store = SlideStore(folder / "a.ome.zarr")
    classes = tuple("abcdef"[: values.shape[-1]])
    store.create_heatmap("heatmaps/x", Pyramid.over(FRAME), Heatmap(classes), 256)
    store.layer("heatmaps/x/0").write(FRAME.box, values)
    if tissue is not None:
        store.create_labels("labels/tissue", Pyramid.over(FRAME.finer(4)), 256, "uint8")
        store.layer("labels/tissue/2").write(FRAME.box, tissue.astype(np.uint8))
    return store


def test_tissue_is_shared_out_among_the_classes_and_glass_does_not_count(tmp_path: Path) -> None:
    second = np.full(FRAME.shape, 0.1, np.float32)
    second[100:200, :100] = 0.8
    second[300:310, 200:210] = 0.6
    second[390:] = np.nan
    tissue = np.zeros(FRAME.shape, np.bool_)
    tissue[:, 50:] = True
    found = summarise_heatmap(stored(tmp_path, np.stack([1 - second, second], axis=-1), tissue), "x", 0.5)
    first, other = found.classes
    assert other.area_mm2 == pytest.approx((100 * 50 + 100) * PX_MM2)
    assert first.area_mm2 + other.area_mm2 == pytest.approx(found.judged_mm2) == pytest.approx(390 * 250 * PX_MM2)
    assert found.left_out_mm2 == pytest.approx(10 * 250 * PX_MM2)
    assert first.share + other.share == pytest.approx(1)
    assert other.foci == 2
    assert other.largest is not None
    assert other.largest.box == Box(100, 50, 100, 50)
    focus = found.as_dict(LEVEL0)["classes"]["b"]["largest_focus"]
    assert focus == pytest.approx(
        {"area_mm2": 0.08, "centroid_y_um": 600, "centroid_x_um": 300, "y_level0_px": 800, "x_level0_px": 400,
         "height_level0_px": 800, "width_level0_px": 400}
    )  # fmt: skip
    assert json.loads(json.dumps(found.as_dict(LEVEL0))) == found.as_dict(LEVEL0)


@pytest.mark.parametrize(("threshold", "pixels"), [(0.3, 200), (0.55, 100), (0.9, 0)])
def test_of_two_classes_the_second_begins_at_the_operating_point(tmp_path: Path, threshold: float, pixels: int) -> None:
    second = np.zeros(FRAME.shape, np.float32)
    second[:10, :10], second[50:60, :10] = 0.6, 0.4
    found = summarise_heatmap(stored(tmp_path, np.stack([1 - second, second], axis=-1)), "x", threshold)
    assert found.classes[1].area_mm2 == pytest.approx(pixels * PX_MM2)
    assert found.operating_point == threshold


def test_of_more_classes_a_place_belongs_to_the_likeliest() -> None:
    values = np.array([[[0.4, 0.3, 0.3], [0.2, 0.3, 0.5], [np.nan] * 3]], np.float32)
    assert decide(values, 0.1).tolist() == [[0, 2, -1]]


def test_a_focus_that_crosses_strips_is_one(tmp_path: Path) -> None:
    second = np.zeros(FRAME.shape, np.float32)
    second[200:300, 100:110] = 1
    (_, other) = summarise_heatmap(stored(tmp_path, np.stack([1 - second, second], axis=-1)), "x", 0.5).classes
    assert other.foci == 1
    assert other.largest is not None
    assert other.largest.area_px == 1000


def test_without_a_mask_what_was_not_judged_is_not_left_out_tissue(tmp_path: Path) -> None:
    found = summarise_heatmap(stored(tmp_path, np.full((*FRAME.shape, 2), np.nan, np.float32)), "x", 0.5)
    assert (found.judged_mm2, found.left_out_mm2) == (0, 0)


def test_the_operating_point_is_the_cards_or_a_half() -> None:
    assert operating_point({}, "idc") == 0.5
    assert operating_point({"operating_point": 0.37}, "idc") == 0.37


@pytest.mark.parametrize("value", [0, 1, -0.1, "half", None, True, float("nan")])
def test_an_operating_point_that_is_no_probability_is_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^idc: .*operating_point.*\nWrite a probability"):
        operating_point({"operating_point": value}, "idc")
