"""Stores as other programs see them: ome-zarr-models, zarr, dask, and the reader of napari."""

from typing import Any

import dask.array
import numpy as np
import pytest
import zarr
from napari_ome_zarr._reader import napari_get_reader
from numpy.typing import NDArray
from ome_zarr_models import open_ome_zarr

from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, NgffVersion, Pyramid
from pipeline.store import SlideStore

BASE = Frame(520, 700, 0.499)
SR = BASE.finer(2)
HEAT = BASE.halved(3)
GROUPS = {
    "": "Image", "sr": "Image", "labels/tissue": "ImageLabel", "sr/labels/nuclei": "ImageLabel",
    "heatmaps/idc-hybrid": "Image", "qc/sr-consistency": "Image", "labels": "Labels", "sr/labels": "Labels",
}  # fmt: skip


def ramp(frame: Frame) -> NDArray[np.int64]:
    """A picture whose values say where they are."""
    return np.add.outer(np.arange(frame.height), 2 * np.arange(frame.width))


@pytest.fixture(scope="module", params=["0.5", "0.4"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SlideStore:
    version: NgffVersion = request.param
    store = SlideStore(tmp_path_factory.mktemp("store") / "slide.ome.zarr", version)
    store.create_image("", "slide", Pyramid.over(BASE), 1024)
    store.create_image("sr", "slide", Pyramid.over(SR), 1024)
    store.create_labels("labels/tissue", Pyramid.over(BASE), 1024, "uint8")
    store.create_labels("sr/labels/nuclei", Pyramid.over(SR), 1024)
    store.create_heatmap("heatmaps/idc-hybrid", Pyramid.over(HEAT), Heatmap(("non-IDC", "IDC")), 1024)
    store.create_heatmap("qc/sr-consistency", Pyramid.over(HEAT), Heatmap(("rms",), end=0.1), 1024)
    for path, frame in (("0", BASE), ("sr/0", SR)):
        store.layer(path).write(frame.box, np.repeat(ramp(frame)[..., np.newaxis] % 251, 3, axis=-1).astype(np.uint8))
    store.layer("sr/labels/nuclei/0").write(SR.box, ramp(SR).astype(np.uint32))
    heat = np.stack([ramp(HEAT) / 1000, 1 - ramp(HEAT) / 1000], axis=-1).astype(np.float32)
    store.layer("heatmaps/idc-hybrid/0").write(HEAT.box, heat)
    return store


@pytest.mark.parametrize(("group", "kind"), GROUPS.items())
def test_every_group_is_valid(store: SlideStore, group: str, kind: str) -> None:
    opened = open_ome_zarr(zarr.open_group(str(store.path), path=group, mode="r"))
    assert type(opened).__name__ == kind


@pytest.mark.parametrize(("path", "frame"), [("0", BASE), ("sr/0", SR), ("sr/labels/nuclei/0", SR)])
def test_zarr_and_dask_read_what_was_written(store: SlideStore, path: str, frame: Frame) -> None:
    array: Any = zarr.open_array(str(store.path), path=path, mode="r")
    values = ramp(frame) if "labels" in path else ramp(frame) % 251
    lazily = dask.array.from_array(array, chunks=array.chunks).compute()
    for seen in (np.asarray(array[...]), lazily):
        np.testing.assert_array_equal(seen[0] if seen.ndim == 3 else seen, values)


@pytest.mark.parametrize(
    ("group", "mpp", "image_shape"),
    [("", 0.499, (3, 520, 700)), ("sr", 0.2495, (3, 1040, 1400)), ("heatmaps/idc-hybrid", 3.992, (2, 65, 88))],
)
def test_napari_lays_image_and_labels_on_each_other(
    store: SlideStore, group: str, mpp: float, image_shape: tuple[int, ...]
) -> None:
    path = str(store.path / group)
    reader = napari_get_reader(path)
    assert reader is not None
    layers = reader(path)
    image = next((data, meta) for data, meta, kind in layers if kind == "image")
    assert image[0][0].shape == image_shape
    assert image[1]["scale"] == pytest.approx([mpp, mpp])
    if "heatmaps" in group:
        assert image[1]["contrast_limits"] == [[0.0, 1.0]] * 2
    else:
        assert image[1]["contrast_limits"] == [[0.0, 255.0]] * 3
        labels = next((data, meta) for data, meta, kind in layers if kind == "labels")
        assert labels[1]["scale"] == pytest.approx([mpp, mpp])
        assert labels[0][0].shape == image_shape[1:]
