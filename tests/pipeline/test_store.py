from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from ome_zarr_models import open_ome_zarr

from pipeline.errors import StoreError
from pipeline.geometry import Box, Frame
from pipeline.ngff import Heatmap, NgffVersion, Pyramid
from pipeline.store import SlideStore, shard_px

FRAME = Frame(1500, 1100, 0.499)


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


@pytest.fixture(params=["0.5", "0.4"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SlideStore:
    version: NgffVersion = request.param
    store = SlideStore(tmp_path / "slide.ome.zarr", version)
    store.create_image("", "slide", Pyramid.over(FRAME), 512)
    store.create_labels("labels/tissue", Pyramid.over(FRAME), 512, "uint8")
    store.create_heatmap("heatmaps/idc", Pyramid.over(FRAME.halved(3)), Heatmap(("a", "b")), 512)
    return store


def test_what_is_written_is_read(store: SlideStore) -> None:
    layer, pixels = store.layer("0"), noise((512, 512, 3))
    layer.write(Box(512, 0, 512, 512), pixels)
    np.testing.assert_array_equal(store.layer("0").read(Box(512, 0, 512, 512)), pixels)
    np.testing.assert_array_equal(layer.read(Box(600, 7, 30, 20)), pixels[88:118, 7:27])


def test_what_was_never_written_is_white_and_stored_nowhere(store: SlideStore) -> None:
    assert (store.layer("0").read(Box(0, 0, 64, 64)) == 255).all()
    store.layer("0").write(Box(0, 0, 512, 512), np.full((512, 512, 3), 255, np.uint8))
    assert not [path for path in (store.path / "0").rglob("*") if path.is_file() and "." not in path.name]


def test_a_read_may_reach_beyond_the_frame(store: SlideStore) -> None:
    pixels = noise((476, 76, 3))
    store.layer("0").write(Box(1024, 1024, 476, 76), pixels)
    seen = store.layer("0").read(Box(1400, 1050, 200, 100))
    np.testing.assert_array_equal(seen[:100, :50], pixels[376:, 26:])
    assert (seen[100:] == 255).all()
    assert (seen[:, 50:] == 255).all()


def test_a_write_of_part_of_a_shard_is_refused(store: SlideStore) -> None:
    with pytest.raises(StoreError, match="whole shards"):
        store.layer("0").write(Box(0, 0, 100, 512), noise((100, 512, 3)))
    with pytest.raises(StoreError, match="whole shards"):
        store.layer("0").write(Box(10, 0, 512, 512), noise((512, 512, 3)))


def test_a_heat_map_is_nan_where_nothing_was_found(store: SlideStore) -> None:
    layer = store.layer("heatmaps/idc/0")
    values = np.random.default_rng(1).random((*layer.frame.shape, 2), dtype=np.float32)
    values[:50] = np.nan
    assert np.isnan(layer.read(layer.frame.box)).all()
    layer.write(layer.frame.box, values)
    np.testing.assert_array_equal(layer.read(layer.frame.box), values)


def test_every_image_is_valid_for_ome_zarr_models(store: SlideStore) -> None:
    import zarr

    kinds = {"": "Image", "labels": "Labels", "labels/tissue": "ImageLabel", "heatmaps/idc": "Image"}
    for group, kind in kinds.items():
        opened = open_ome_zarr(zarr.open_group(str(store.path), path=group, mode="r"))
        assert type(opened).__name__ == kind


def test_frames_come_back_from_the_metadata(store: SlideStore) -> None:
    assert store.pyramid("") == Pyramid.over(FRAME)
    assert store.pyramid("labels/tissue") == Pyramid.over(FRAME)
    assert store.classes("heatmaps/idc") == ["a", "b"]
    assert store.images("heatmaps") == ["idc"]
    assert store.images("nowhere") == []


def test_making_a_layer_again_keeps_its_pixels(store: SlideStore) -> None:
    pixels = noise((512, 512, 3))
    store.layer("0").write(Box(0, 0, 512, 512), pixels)
    store.create_image("", "slide", Pyramid.over(FRAME), 512)
    np.testing.assert_array_equal(store.layer("0").read(Box(0, 0, 512, 512)), pixels)


def test_a_layer_that_is_not_there_is_named(store: SlideStore) -> None:
    with pytest.raises(StoreError, match="no layer sr/0"):
        store.layer("sr/0")


@pytest.mark.parametrize(("core_px", "shard"), [(256, 256), (512, 512), (768, 256), (1024, 1024), (2048, 1024)])
def test_a_core_is_a_whole_number_of_shards(core_px: int, shard: int) -> None:
    assert shard_px(core_px) == shard


def test_a_shard_that_was_torn_is_written_again(store: SlideStore) -> None:
    edge = Box(1024, 1024, 476, 76)  # cut off by the frame: zarr would read the shard before it writes it
    pixels = noise((476, 76, 3))
    for box, again in ((edge, pixels), (Box(0, 0, 512, 512), noise((512, 512, 3)))):
        store.layer("0").write(box, again)
        for path in (store.path / "0").rglob("*"):
            if path.is_file() and not path.name.startswith((".z", "zarr")):
                path.write_bytes(b"torn")
        store.layer("0").write(box, again)
        np.testing.assert_array_equal(store.layer("0").read(box), again)
    assert not list(store.path.glob(".drafts*"))


def test_a_shard_of_nothing_but_fill_takes_the_place_of_one_with_pixels(store: SlideStore) -> None:
    layer = store.layer("0")
    layer.write(Box(0, 0, 512, 512), noise((512, 512, 3)))
    layer.write(Box(0, 0, 512, 512), np.full((512, 512, 3), 255, np.uint8))
    assert (store.layer("0").read(Box(0, 0, 512, 512)) == 255).all()


def test_metadata_that_a_power_cut_left_empty_is_made_anew(store: SlideStore) -> None:
    names = {path.relative_to(store.path): path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    for name in names:
        (store.path / name).write_bytes(b"")
    store.create_image("", "slide", Pyramid.over(FRAME), 512)
    store.create_labels("labels/tissue", Pyramid.over(FRAME), 512, "uint8")
    store.create_heatmap("heatmaps/idc", Pyramid.over(FRAME.halved(3)), Heatmap(("a", "b")), 512)
    assert {
        path.relative_to(store.path): path.read_bytes() for path in store.path.rglob("*") if path.is_file()
    } == names
