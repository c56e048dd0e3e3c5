"""A heat map says each patch's probability where the patch lies, whatever the stride, the frame and the cores."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.heatmap_fold import PatchGrid, fold_grid, lay_grid
from pipeline.ngff import Heatmap, Pyramid
from pipeline.store import SlideStore

FRAME = Frame(300, 600, 4.0)
LEVEL0 = Frame(2400, 4800, 0.5)


def grid(values: NDArray[np.float32], stride_px: float = 25.0, side_px: float = 50.0) -> PatchGrid:
    return PatchGrid(np.stack([1 - values, values], axis=-1).astype(np.float32), stride_px, side_px)


def some(shape: tuple[int, int], absent: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.random(shape, dtype=np.float32)
    values[rng.random(shape) < absent] = np.nan
    return values


def naive(patches: PatchGrid, y: int, x: int) -> float:
    """One pixel of the second class, by a loop over all patches and a sum over 200 x 200 points of the pixel."""
    points = (np.arange(200) + 0.5) / 200
    total = weight = 0.0
    for row in range(patches.values.shape[0]):
        for column in range(patches.values.shape[1]):
            if np.isfinite(value := patches.values[row, column, 1]):
                down = 1 - abs(2 * (y + points - row * patches.stride_px) / patches.side_px - 1)
                across = 1 - abs(2 * (x + points - column * patches.stride_px) / patches.side_px - 1)
                share = np.outer(down.clip(0), across.clip(0)).mean()
                total, weight = total + share * value, weight + share
    return total / weight if weight else float("nan")


@pytest.mark.parametrize(("stride_px", "side_px"), [(25, 50), (50, 50), (6.25, 12.5), (10, 50), (0.5, 1), (3.3, 7.1)])
def test_a_pixel_is_the_mean_of_its_patches_weighed_by_triangles(stride_px: float, side_px: float) -> None:
    patches = grid(some((5, 6), absent=0.3), stride_px, side_px)
    folded = patches.over(Box(0, 0, 40, 40))[..., 1]
    for y, x in ((0, 0), (1, 2), (7, 13), (24, 24), (25, 30), (39, 39)):
        assert folded[y, x] == pytest.approx(naive(patches, y, x), abs=1e-4, nan_ok=True)


def test_patches_side_by_side_are_told_as_they_were_judged() -> None:
    values = some((6, 12), absent=0.2)
    folded = grid(values, stride_px=50).over(FRAME.box)[..., 1]
    np.testing.assert_array_equal(folded, values.repeat(50, axis=0).repeat(50, axis=1))


def test_where_patches_overlap_by_half_the_map_says_each_probability_at_the_patchs_centre() -> None:
    values = some((9, 9))
    folded = grid(values, side_px=50.0).over(Box(0, 0, 250, 250))[..., 1]
    centres = np.stack([folded[24 + down : 249 : 25, 24 + across : 249 : 25] for down in (0, 1) for across in (0, 1)])
    np.testing.assert_allclose(centres[:, :9, :9].mean(axis=0), values, atol=0.05)


@given(st.floats(0.4, 40), st.floats(1, 4), st.integers(0, 99), st.floats(0, 0.8))
def test_probabilities_stay_between_those_of_the_patches_and_add_up_to_one(
    stride_px: float, overlap: float, seed: int, absent: float
) -> None:
    patches = grid(some((6, 7), absent, seed), stride_px, stride_px * overlap)
    folded = patches.over(Box(0, 0, 64, 64))
    judged = np.isfinite(folded[..., 0])
    np.testing.assert_allclose(folded[judged].sum(axis=-1), 1, atol=1e-6)
    if judged.any():
        assert folded[judged].min() >= np.nanmin(patches.values) - 1e-6
        assert folded[judged].max() <= np.nanmax(patches.values) + 1e-6


@given(st.integers(0, 99), st.integers(0, 280), st.integers(0, 580), st.integers(1, 90), st.integers(1, 90))
def test_a_pixel_has_the_same_bits_in_boxes_of_any_size(seed: int, y: int, x: int, height: int, width: int) -> None:
    patches = grid(some((12, 20), absent=0.4, seed=seed))
    box = FRAME.box.clip(Box(y, x, height, width))
    np.testing.assert_array_equal(patches.over(box), patches.over(FRAME.box)[box.slices()])


@pytest.mark.parametrize("heatmap", [FRAME, FRAME.finer(2), FRAME.finer(4)], ids=["4 um", "2 um", "1 um"])
def test_rows_lie_where_the_patches_were_at_any_resolution(heatmap: Frame) -> None:
    rows = pa.table(
        {"x_level0_px": [200.0], "y_level0_px": [400.0], "size_level0_px": [400.0], "p_no": [0.25], "p_yes": [0.75]}
    )
    folded = lay_grid(rows, ("no", "yes"), 200.0, heatmap, LEVEL0).over(heatmap.box)
    y, x = np.nonzero(np.isfinite(folded[..., 0]))
    um = heatmap.mpp
    assert (y.min() * um, (y.max() + 1) * um, x.min() * um, (x.max() + 1) * um) == (200, 400, 100, 300)
    np.testing.assert_array_equal(folded[y, x], np.broadcast_to(np.array([0.25, 0.75], np.float32), (len(y), 2)))


@pytest.mark.parametrize("core_px", [256, 512])
def test_a_map_is_written_core_by_core_and_the_rest_stays_nan(tmp_path: Path, core_px: int) -> None:
    store = SlideStore(tmp_path / "a.ome.zarr")
    store.create_heatmap("heatmaps/x", Pyramid.over(FRAME), Heatmap(("no", "yes")), core_px)
    layer, patches = store.layer("heatmaps/x/0"), grid(some((11, 10), absent=0.3))
    fold_grid(patches, layer, core_px)
    np.testing.assert_array_equal(layer.read(FRAME.box), patches.over(FRAME.box))
    assert np.isnan(layer.read(Box(0, 300, 300, 300))).all()


def test_without_patches_a_map_is_empty(tmp_path: Path) -> None:
    names = ("x_level0_px", "y_level0_px", "size_level0_px", "p_no", "p_yes")
    nothing = pa.table({name: pa.array([], pa.float64()) for name in names})
    folded = lay_grid(nothing, ("no", "yes"), 200.0, FRAME, LEVEL0).over(FRAME.box)
    assert folded.shape == (300, 600, 2)
    assert np.isnan(folded).all()
