from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from flows.training_slides import open_training_slide
from models.errors import TrainingError
from models.nuclei_examples import Example, Request
from models.nuclei_geojson import LEAST_SIDE_PX, TILE_PX, lay_tiles, list_geojson
from models.slide_reader import Region, SlideReader, open_tiff
from models.train_config import SourceConfig
from tests.models.array_slide import ArraySlide
from tests.models.nuclei_drawings import discs, outlines_of, renumbered
from tests.models.test_nuclei_qupath import feature

LABELS = discs().repeat(4, axis=0).repeat(4, axis=1)
PIXELS = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
SLIDE = ArraySlide((PIXELS, PIXELS[::2, ::2]), (1.0, 2.0), mpp=0.25, name="a")


def box(x: int, y: int, width: int, height: int) -> list[tuple[int, int]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]


def write(folder: Path, features: list[dict[str, Any]], slide: str = "a.svs") -> None:
    (folder / slide).touch()
    (folder / f"{Path(slide).stem}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def tiles_of(path: Path, slide: ArraySlide = SLIDE, mpp: float | None = 0.25, **changes: Any) -> list[Example]:
    def open_slide(_: Path, slide_mpp: float | None) -> SlideReader:
        return replace(slide, mpp=slide_mpp or slide.mpp)

    source = SourceConfig(name="set", licence="none", kind="geojson", path=".", **changes)
    return list_geojson(Request(source, path, mpp, open_slide))


def nuclei() -> list[dict[str, Any]]:
    return [feature(ring) for ring in outlines_of(LABELS)]


def test_tiles_show_the_regions_with_their_nuclei(tmp_path: Path) -> None:
    write(tmp_path, [*nuclei(), feature(box(40, 20, 200, 150), "annotation", "Region 1")])
    (example,) = tiles_of(tmp_path / "a.svs")
    one = example.read()
    assert (example.name, example.group, example.mpp) == ("a y 20 x 40", "a", 0.25)
    assert np.array_equal(one.image, PIXELS[20:170, 40:240])
    assert np.array_equal(renumbered(one.labels), renumbered(LABELS[20:170, 40:240]))


def test_a_nucleus_that_a_region_cuts_is_drawn_up_to_the_border(tmp_path: Path) -> None:
    write(tmp_path, [*nuclei(), feature(box(48, 40, 100, 100), "annotation", "Region 1")])
    labels = tiles_of(tmp_path)[0].read().labels
    assert np.array_equal(labels > 0, LABELS[40:140, 48:148] > 0)


def test_without_regions_it_is_the_box_around_all_nuclei(tmp_path: Path) -> None:
    write(tmp_path, nuclei())
    (example,) = tiles_of(tmp_path)
    rows, columns = np.nonzero(LABELS)
    inside = LABELS[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert np.array_equal(example.read().labels, renumbered(inside))


def test_a_coarser_network_is_shown_a_coarser_level(tmp_path: Path) -> None:
    write(tmp_path, [*nuclei(), feature(box(40, 20, 200, 150), "annotation", "Region 1")])
    (example,) = tiles_of(tmp_path, mpp=0.5)
    one = example.read()
    assert example.mpp == 0.5
    assert np.array_equal(one.image, PIXELS[::2, ::2][10:85, 20:120])
    assert np.array_equal(one.labels > 0, LABELS[21:171:2, 41:241:2] > 0)


def test_a_source_may_be_read_at_a_resolution_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, nuclei())

    def open_slide(_: Path, slide_mpp: float | None) -> SlideReader:
        return SLIDE

    source = SourceConfig(name="set", licence="none", kind="geojson", path=".", mpp=0.5)
    assert list_geojson(Request(source, tmp_path, 0.25, open_slide))[0].mpp == 0.5


def test_a_slide_that_states_no_resolution_asks_for_it(tmp_path: Path) -> None:
    write(tmp_path, nuclei())
    with pytest.raises(TrainingError, match=r"a: wanted at 0.25 um per px, but nobody says.*\n.*slide_mpp"):
        tiles_of(tmp_path, replace(SLIDE, mpp=None))
    assert tiles_of(tmp_path, replace(SLIDE, mpp=None), slide_mpp=0.25)[0].mpp == 0.25


def test_outlines_of_tissue_are_no_nuclei(tmp_path: Path) -> None:
    tissue = feature(box(0, 0, 300, 200), "annotation", "Tumor")
    write(tmp_path, [*nuclei(), tissue])
    with_tissue = tiles_of(tmp_path, replace(SLIDE, mpp=0.4), mpp=0.4)[0].read().labels
    assert len(np.unique(with_tissue)) == 10


def test_every_slide_of_a_folder_with_a_geojson_is_read(tmp_path: Path) -> None:
    for name in ("a.svs", "b.tif"):
        write(tmp_path, nuclei(), name)
    (tmp_path / "c.svs").touch()
    assert len(tiles_of(tmp_path)) == 2


def test_a_slide_without_a_geojson_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    with pytest.raises(TrainingError, match=r"a\.svs: no GeoJSON of the same stem beside it"):
        tiles_of(tmp_path / "a.svs")


def test_outlines_of_another_slide_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [feature(ring + 5000) for ring in outlines_of(LABELS)])
    with pytest.raises(TrainingError, match=r"a\.geojson: 9 of 9 outlines lie outside a\.svs of 320 x 240 px"):
        tiles_of(tmp_path)


def test_regions_too_small_for_a_tile_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [*nuclei(), feature(box(10, 10, 50, 50), "annotation", "Region 1")])
    with pytest.raises(TrainingError, match=r"a\.geojson: no region of it.*holds a square of 64 px"):
        tiles_of(tmp_path)


@given(
    st.tuples(st.integers(-50, 2000), st.integers(-50, 2000)), st.tuples(st.integers(64, 3000), st.integers(64, 3000))
)
def test_tiles_partition_a_rectangle(corner: tuple[int, int], sides: tuple[int, int]) -> None:
    shape = (2500, 2600)
    left, top = corner
    area = shapely.box(left, top, left + sides[0], top + sides[1])
    tiles = list(lay_tiles(area, shape))
    inside = area.intersection(shapely.box(0, 0, shape[1], shape[0]))
    if min(inside.bounds[2] - inside.bounds[0], inside.bounds[3] - inside.bounds[1]) < LEAST_SIDE_PX:
        assert tiles == []
        return
    boxes = [box_of(tile) for tile in tiles]
    assert shapely.union_all(boxes).equals(inside)
    assert sum(one.area for one in boxes) == inside.area
    assert max(max(tile.height, tile.width) for tile in tiles) <= TILE_PX


@given(st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 1500)), min_size=3, max_size=8))
@example([(0, 879), (251, 318), (972, 320)])
def test_tiles_of_a_region_of_any_shape_lie_in_it(corners: list[tuple[int, int]]) -> None:
    area = shapely.MultiPoint(corners).convex_hull
    for tile in lay_tiles(area, (1400, 1450)):
        assert area.buffer(1.25, join_style="mitre").covers(box_of(tile))  # 0.5 px of room, then rounded in x and y
        assert tile.y >= 0
        assert tile.y + tile.height <= 1400
        assert tile.x + tile.width <= 1450


def test_of_a_round_region_the_inscribed_square_is_used() -> None:
    (tile,) = lay_tiles(shapely.Point(600, 600).buffer(500, quad_segs=64), (1200, 1200))
    assert tile.height == tile.width == pytest.approx(500 * 2**0.5, abs=3)


def box_of(tile: Region) -> Any:
    return shapely.box(tile.x, tile.y, tile.x + tile.width, tile.y + tile.height)


@pytest.mark.slides
def test_a_real_slide_is_read_by_the_pipelines_readers_at_the_wanted_level(data: Path, tmp_path: Path) -> None:
    (tmp_path / "CMU.svs").symlink_to(data / "wsi/CMU-1-Small-Region.svs")
    rings = [ring + np.array((1000, 2000)) for ring in outlines_of(LABELS)]
    region = feature(box(1000, 2000, 320, 240), "annotation", "Region*")
    (tmp_path / "CMU.geojson").write_text(json.dumps([*(feature(ring) for ring in rings), region]))
    source = SourceConfig(name="set", licence="none", kind="geojson", path="CMU.svs")
    (example,) = list_geojson(Request(source, tmp_path / "CMU.svs", 0.5, open_training_slide))
    one = example.read()
    assert example.mpp == pytest.approx(0.499)
    assert np.array_equal(one.labels, renumbered(LABELS))
    slide = open_tiff(data / "wsi/CMU-1-Small-Region.svs", None)
    assert np.array_equal(one.image, slide.read(0, Region(2000, 1000, 240, 320)))
