"""A heat map lies on its tissue: by the transforms that every viewer reads, at every level, at any resolution."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from numpy.typing import NDArray

from pipeline.gather import gather_classes
from pipeline.geometry import Box, Frame
from pipeline.store import Layer, SlideStore
from pipeline.tissue import TissueMask
from tests.pipeline.classified_slide import DARK, FIELD_PX, SHAPE, begin, classify

# um per pixel of the slide, and how many of its pixels span one that the classifier is fed.
RESOLUTIONS = [(0.25, 16), (0.499, 8), (0.3, 16), (1.0, 4), (4.0, 1)]


def levels(store: SlideStore, group: str) -> list[tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]]:
    """Of each level of an image its values (c, y, x), and the places (y, x) of its first pixel and from one to the
    next, in um: read as a viewer reads them, from the metadata alone."""
    root = zarr.open_group(str(store.path), path=group, mode="r")
    attributes: Any = root.attrs["ome"]
    found = []
    for dataset in attributes["multiscales"][0]["datasets"]:
        scale, translation = dataset["coordinateTransformations"]
        array: Any = root[dataset["path"]]
        found.append((np.asarray(array[...]), np.array(translation["translation"][1:]), np.array(scale["scale"][1:])))
    return found


def centre_um(
    weight: NDArray[np.float64], origin_um: NDArray[np.float64], step_um: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(y, x) of the centre of mass of (y, x) weights."""
    places = np.indices(weight.shape) * step_um[:, None, None] + origin_um[:, None, None]
    return np.asarray((places * weight).sum(axis=(1, 2)) / weight.sum())


@pytest.mark.parametrize(("mpp", "times"), RESOLUTIONS)
def test_a_square_lies_in_the_same_place_in_slide_and_heat_map_at_every_level(
    tmp_path: Path, mpp: float, times: int
) -> None:
    recipe, workspace = begin(tmp_path, mpp, times)
    classify(recipe, workspace)
    expected_um = np.array([DARK.y + DARK.height / 2, DARK.x + DARK.width / 2]) * times * mpp
    for values, origin_um, step_um in levels(workspace.store, "")[: times.bit_length()]:
        dark = 230.0 - values[0]
        np.testing.assert_allclose(centre_um(dark, origin_um, step_um), expected_um, atol=1e-6 * mpp * times)
    for values, origin_um, step_um in levels(workspace.store, "heatmaps/darkness"):
        np.testing.assert_allclose(centre_um(values[1], origin_um, step_um), expected_um, atol=1e-3 * mpp)


@pytest.mark.parametrize(("mpp", "times"), RESOLUTIONS)
def test_rows_and_the_largest_focus_say_where_the_square_is(tmp_path: Path, mpp: float, times: int) -> None:
    recipe, workspace = begin(tmp_path, mpp, times)
    classify(recipe, workspace)
    rows = pq.read_table(workspace.patches_path, filters=[("p_dark", "==", 1)])
    x, y, side = (rows[f"{name}_level0_px"].to_numpy() for name in ("x", "y", "size"))
    assert (y.min(), x.min()) == (DARK.y * times, DARK.x * times)
    assert ((y + side).max(), (x + side).max()) == (DARK.y_end * times, DARK.x_end * times)
    focus = gather_classes(workspace, recipe.classify)["darkness"]["classes"]["dark"]["largest_focus"]
    assert focus["centroid_y_um"] == pytest.approx((DARK.y + DARK.height / 2) * times * mpp)
    assert focus["centroid_x_um"] == pytest.approx((DARK.x + DARK.width / 2) * times * mpp)
    # Triangles reach 0.5 a quarter of a patch inside the border of the outermost patches.
    assert focus["y_level0_px"] == pytest.approx((DARK.y + FIELD_PX / 4) * times, abs=times)
    assert focus["width_level0_px"] == pytest.approx((DARK.width - FIELD_PX / 2) * times, abs=2 * times)


@pytest.mark.parametrize(("mpp", "times"), RESOLUTIONS[:3])
def test_a_classifier_reads_the_level_that_it_was_trained_at_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mpp: float, times: int
) -> None:
    recipe, workspace = begin(tmp_path, mpp, times)
    read_px: dict[tuple[int, int], int] = {}
    read = Layer.read

    def counted(layer: Layer, box: Box) -> NDArray[Any]:
        read_px[layer.frame.shape] = read_px.get(layer.frame.shape, 0) + box.area_px
        return read(layer, box)

    with monkeypatch.context() as patched:
        patched.setattr(Layer, "read", counted)
        (stage,) = recipe.classify
        stage.run(list(stage.tiles(workspace.tissue)), workspace)
    assert set(read_px) == {SHAPE}
    assert read_px[SHAPE] <= (SHAPE[0] + FIELD_PX) * (SHAPE[1] + FIELD_PX)
    assert read_px[SHAPE] * 40 < recipe.base.box.area_px


def test_tissue_smaller_than_a_patch_gives_an_empty_map_and_a_table_without_rows(tmp_path: Path) -> None:
    drawn = np.zeros(SHAPE, np.bool_)
    drawn[4:8, 4:9] = True
    recipe, workspace = begin(tmp_path, 0.5, 8, TissueMask(drawn, Frame(*SHAPE, 4.0)))
    assert classify(recipe, workspace) == 0
    assert "p_dark" in pq.read_schema(workspace.patches_path).names
    layer = workspace.store.layer("heatmaps/darkness/0")
    assert np.isnan(layer.read(layer.frame.box)).all()
    found = gather_classes(workspace, recipe.classify)["darkness"]
    assert found["judged_mm2"] == 0
    assert found["left_out_mm2"] == pytest.approx(20 * 16e-6)
    assert found["classes"]["dark"]["largest_focus"] is None
