"""What the viewer shows is what the store holds, pixel for pixel, at coordinates that are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from numpy.typing import NDArray

from pipeline.store import Layer, SlideStore
from tests.flows.viewed import NAME, Viewed

CENTRE = (140.0, 150.0)
"""x, y of the middle of the view, level-0 px."""


@pytest.fixture(scope="module")
def store(results: Path) -> SlideStore:
    return SlideStore(results / NAME / f"{NAME}.ome.zarr")


def level0_of(shape: Sequence[int], zoom: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x of each column's middle and y of each row's, in level-0 px, of a pane of `shape`."""
    height, width = shape[:2]
    x = CENTRE[0] + (np.arange(width) + 0.5 - width / 2) / zoom
    y = CENTRE[1] + (np.arange(height) + 0.5 - height / 2) / zoom
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def well_inside(places: NDArray[np.float64], px: float, zoom: float, size_px: int) -> NDArray[np.bool_]:
    """Which places, level-0 px, are more than half a screen px from an edge of the layer's pixels, and on the layer."""
    within = np.mod(places / px, 1.0) * px * zoom
    inside = (places > 0) & (places < size_px * px)
    return inside & (within > 0.55) & (within < px * zoom - 0.55)


def seen_and_held(pane: NDArray[np.uint8], layer: Layer, zoom: float, px: float) -> tuple[NDArray[np.float64], ...]:
    """What the pane shows and what the layer's pixels there are; screen px that touch two pixels are left out."""
    x, y = level0_of(pane.shape, zoom)
    columns, rows = well_inside(x, px, zoom, layer.frame.width), well_inside(y, px, zoom, layer.frame.height)
    held = layer.read(layer.frame.box)[np.ix_((y[rows] / px).astype(int), (x[columns] / px).astype(int))]
    return pane[np.ix_(rows, columns)].astype(float), held.astype(float)


def show(viewer: Viewed, zoom: float, **shown: object) -> NDArray[np.uint8]:
    settings = {"x": CENTRE[0], "y": CENTRE[1], "zoom": zoom, "left": "image", "nuclei": "off", "pixels": "squares"}
    viewer.slide(NAME, **settings | shown)
    return viewer.pane()


@pytest.mark.parametrize(
    ("picture", "path", "zoom"), [("image", "0", 2), ("image", "0", 3), ("sr", "sr/0", 2), ("sr", "sr/0", 4)]
)
def test_pictures_are_shown_pixel_for_pixel(
    viewer: Viewed, store: SlideStore, picture: str, path: str, zoom: float
) -> None:
    pane = show(viewer, zoom, left=picture)
    layer = store.layer(path)
    px = layer.frame.mpp / store.layer("0").frame.mpp
    x, y = level0_of(pane.shape, zoom)
    columns, rows = (x > 0) & (x < 280), (y > 0) & (y < 300)
    held = layer.read(layer.frame.box)[np.ix_((y[rows] / px).astype(int), (x[columns] / px).astype(int))]
    seen = pane[np.ix_(rows, columns)]
    assert min(seen.shape[:2]) > 400
    np.testing.assert_array_equal(seen, held)


def test_at_a_zoom_that_is_not_whole_pixels_lie_where_they_should(viewer: Viewed, store: SlideStore) -> None:
    pane = show(viewer, 3.37)
    seen, held = seen_and_held(pane, store.layer("0"), 3.37, 1.0)
    assert seen.size > 100_000
    assert np.mean(np.abs(seen - held).max(axis=-1) > 2) < 0.01


def test_split_shows_each_picture_on_its_side(viewer: Viewed, store: SlideStore) -> None:
    pane = show(viewer, 4, mode="split", left="image", right="sr", divider=50)
    middle = pane.shape[1] // 2
    x, y = level0_of(pane.shape, 4)
    rows = (y > 0) & (y < 300)
    for path, px, side in (("0", 1.0, slice(middle - 300, middle - 3)), ("sr/0", 0.5, slice(middle + 3, middle + 300))):
        layer = store.layer(path)
        held = layer.read(layer.frame.box)[np.ix_((y[rows] / px).astype(int), (x[side] / px).astype(int))]
        np.testing.assert_array_equal(pane[rows, side], held)


def test_two_panes_show_the_same_place(viewer: Viewed, store: SlideStore) -> None:
    show(viewer, 4, mode="two", left="image", right="sr")
    panes = viewer.pane(0), viewer.pane(1)
    assert panes[0].shape == panes[1].shape
    x, y = level0_of(panes[0].shape, 4)
    columns, rows = (x > 0) & (x < 280), (y > 0) & (y < 300)
    for pane, path, px in ((panes[0], "0", 1.0), (panes[1], "sr/0", 0.5)):
        layer = store.layer(path)
        held = layer.read(layer.frame.box)[np.ix_((y[rows] / px).astype(int), (x[columns] / px).astype(int))]
        np.testing.assert_array_equal(pane[np.ix_(rows, columns)], held)


@pytest.mark.parametrize("colours", ["viridis", "magma"])
def test_a_heat_map_has_its_colours_at_its_places(viewer: Viewed, store: SlideStore, colours: str) -> None:
    zoom, group = 2.37, "heatmaps/idc-hybrid"
    label = store.classes(group)[-1]
    pane = show(viewer, zoom, layer=f"1,0,{colours},heatmap:idc-hybrid:{label}")
    layer = store.layer(f"{group}/0")
    px = layer.frame.mpp / store.layer("0").frame.mpp
    seen, held = seen_and_held(pane, layer, zoom, px)
    values = held[..., -1]
    there = np.isfinite(values)
    assert there.mean() > 0.2
    grey = np.rint(values[there].clip(0, 1) * 255).astype(int)
    expected = matplotlib.colormaps[colours](grey)[:, :3] * 255
    assert np.abs(seen[there] - expected).max() <= 3


def test_the_threshold_leaves_the_picture_bare(viewer: Viewed, store: SlideStore) -> None:
    values = store.layer("qc/sr-consistency/0").read(store.layer("qc/sr-consistency/0").frame.box)[..., 0]
    low = float(np.nanmedian(values))
    high = store.windows("qc/sr-consistency")[0][1]
    bare = show(viewer, 2.0)
    pane = show(viewer, 2.0, layer=f"1,{low / high:.3f},magma,consistency")
    layer = store.layer("qc/sr-consistency/0")
    px = layer.frame.mpp / store.layer("0").frame.mpp
    changed = np.any(pane != bare, axis=-1)[..., None]
    seen, held = seen_and_held(changed.astype(np.uint8), layer, 2.0, px)
    clearly = np.abs(held[..., 0] - low) > high / 100
    judged = clearly & np.isfinite(held[..., 0])
    assert np.mean((seen[..., 0] > 0)[judged] == (held[..., 0] > low)[judged]) > 0.995


@pytest.mark.parametrize("zoom", [1.7, 3.3, 9.1])
def test_outlines_lie_on_the_nuclei(viewer: Viewed, results: Path, zoom: float) -> None:
    bare = show(viewer, zoom, pixels="")
    drawn = show(viewer, zoom, pixels="", nuclei="1,0,class")
    changed = np.argwhere(np.abs(bare.astype(int) - drawn).max(axis=-1) > 40)
    assert len(changed) > 100
    x, y = level0_of(bare.shape, zoom)
    points = shapely.points(x[changed[:, 1]], y[changed[:, 0]])
    table = pq.read_table(results / NAME / "nuclei.parquet", columns=["geometry"])
    rings = shapely.get_exterior_ring(shapely.from_wkb(table["geometry"].to_numpy()))
    lines = shapely.union_all(rings)
    assert shapely.distance(points, lines).max() * zoom <= 2.0, "something is drawn where no outline is"

    along = np.concatenate([shapely.get_coordinates(shapely.segmentize(ring, 0.5 / zoom)) for ring in rings])
    columns = np.floor((along[:, 0] - CENTRE[0]) * zoom + bare.shape[1] / 2).astype(int)
    rows = np.floor((along[:, 1] - CENTRE[1]) * zoom + bare.shape[0] / 2).astype(int)
    inside = (columns > 2) & (columns < bare.shape[1] - 3) & (rows > 2) & (rows < bare.shape[0] - 3)
    mask = np.zeros(bare.shape[:2], bool)
    mask[changed[:, 0], changed[:, 1]] = True
    near = np.zeros(inside.sum(), bool)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near |= mask[rows[inside] + down, columns[inside] + right]
    assert near.mean() > 0.99, "an outline is not drawn"
