"""Where layers lie and what their tiles hold, whatever their size and resolution."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.geometry import Box, Frame
from pipeline.ngff import NgffVersion, Pyramid
from pipeline.store import SlideStore
from pipeline.store_remote import RemoteStore
from pipeline.view_files import LocalFiles, OutsideFolder
from pipeline.view_layers import ViewLayer, list_layers
from pipeline.view_slide import SlideView
from pipeline.view_tiles import TileMaker
from tests.pipeline.finished_slide import Parts, add_map, make_slide


@pytest.mark.parametrize(("height", "width"), [(250, 300), (513, 1025), (1, 700), (2967, 2220), (40, 5000)])
def test_levels_count_from_the_coarsest_and_halve_like_deep_zoom(height: int, width: int) -> None:
    frames = Pyramid.over(Frame(height, width, 0.5)).levels
    layer = ViewLayer("image", "rgb", "", "", frames, "")
    for level in range(layer.max_level + 1):
        frame = layer.frame(level)
        assert frame is not None
        times = 2 ** (layer.max_level - level)
        assert frame.shape == (-(-height // times), -(-width // times))
        assert frame.mpp == 0.5 * times
    assert layer.frame(-1) is None
    assert layer.frame(layer.max_level + 1) is None


def test_a_place_is_in_level_0_px_from_edge_to_edge() -> None:
    level0, heat = Frame(2967, 2220, 0.499), Frame(2967, 2220, 0.499).halved(3)
    place = ViewLayer("x", "scalar", "", "x", (heat,), "").as_dict(level0)["place"]
    assert place == {"x_level0_px": 0, "y_level0_px": 0, "width_level0_px": 2224, "height_level0_px": 2968}
    resampled = Frame(1200, 1000, 0.5)  # of a slide at 0.23 um/px
    place = ViewLayer("x", "rgb", "", "x", (resampled,), "").as_dict(Frame(2608, 2173, 0.23))["place"]
    assert place["width_level0_px"] == pytest.approx(1000 * 0.5 / 0.23)


def test_all_that_a_store_holds_is_offered_each_with_its_meaning(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, parts=Parts(classes=("other", "IDC", "DCIS")))
    add_map(folder, "qc/blur", (0.3,), ("blur",))
    store = SlideStore(folder / "slide.ome.zarr")
    store.create_labels("labels/pen", Pyramid.over(Frame(250, 300, 0.5)), 256, "uint8")
    store.create_labels("labels/nuclei", Pyramid.over(Frame(250, 300, 0.5)), 256)
    layers = {layer.id: layer for layer in list_layers(store)}
    heat = [f"heatmap:idc-hybrid:{name}" for name in ("other", "IDC", "DCIS")]
    assert list(layers) == ["image", "sr", "qc:pen", "tissue", *heat, "qc:blur", "consistency"]
    assert [layers[name].channel for name in heat] == [0, 1, 2]
    assert "estimated" in layers["sr"].explanation
    assert all(layer.explanation and layer.title for layer in layers.values())
    assert layers["tissue"].legend[0][:2] == (1, "Tissue")


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("remote", [False, True])
def test_tiles_are_the_stores_own_pixels(tmp_path: Path, version: NgffVersion, remote: bool) -> None:
    frame = Frame(700, 1100, 0.5)
    written = SlideStore(tmp_path / "slide.ome.zarr", version)
    written.create_image("", "slide", Pyramid.over(frame), 512)
    pixels = np.random.default_rng(0).integers(0, 255, (*frame.shape, 3), np.uint8)
    written.layer("0").write(frame.box, pixels)
    files = LocalFiles(tmp_path)
    store = RemoteStore(files, "slide.ome.zarr") if remote else written
    (layer,) = list_layers(store)
    maker = TileMaker(store, files, "slide.ome.zarr")
    for box in frame.partition(512):
        place = maker.find(layer, layer.max_level, box.x // 512, box.y // 512)
        assert place is not None
        seen = np.asarray(Image.open(io.BytesIO(maker.picture(place, "png"))))
        np.testing.assert_array_equal(seen, pixels[box.slices()])
    coarse = maker.find(layer, 0, 0, 0)  # never written: white
    assert coarse is not None
    assert np.asarray(Image.open(io.BytesIO(maker.picture(coarse, "png")))).min() == 255


def test_a_tile_changes_its_tag_with_its_own_shard_alone(tmp_path: Path) -> None:
    frame = Frame(600, 1100, 0.5)
    store = SlideStore(tmp_path / "slide.ome.zarr")
    store.create_image("", "slide", Pyramid.over(frame), 512)
    (layer,) = list_layers(store)
    maker = TileMaker(store, LocalFiles(tmp_path), "slide.ome.zarr")

    def tags() -> list[str]:
        places = [maker.find(layer, layer.max_level, column, 0) for column in range(3)]
        return [place.tag for place in places if place]

    before = tags()
    store.layer("0").write(Box(0, 512, 512, 512), np.zeros((512, 512, 3), np.uint8))
    assert [one == other for one, other in zip(before, tags(), strict=True)] == [True, False, True]


def test_shards_that_are_links_to_elsewhere_are_not_read(tmp_path: Path) -> None:
    make_slide(tmp_path / "elsewhere")
    folder = make_slide(tmp_path / "results")
    shard = Path("slide.ome.zarr", "0", "c", "0", "0", "0")
    (folder / shard).unlink()
    (folder / shard).symlink_to(tmp_path / "elsewhere" / "slide" / shard)
    view = SlideView(LocalFiles(tmp_path / "results"), "slide", "slide")
    with pytest.raises(OutsideFolder):
        view.tiles.find(view.layers["image"], view.layers["image"].max_level, 0, 0)


def test_a_store_that_leads_elsewhere_is_not_opened(tmp_path: Path) -> None:
    make_slide(tmp_path / "elsewhere")
    folder = make_slide(tmp_path / "results")
    (folder / "slide.ome.zarr").rename(tmp_path / "moved")
    (folder / "slide.ome.zarr").symlink_to(tmp_path / "moved")
    with pytest.raises(OutsideFolder):
        SlideView(LocalFiles(tmp_path / "results"), "slide", "slide")
