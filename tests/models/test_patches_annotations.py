from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from flows.training_slides import open_training_slide
from models.errors import TrainingError
from models.patches_annotations import list_annotations
from models.patches_examples import Patch
from models.slide_reader import SlideReader
from tests.models.array_slide import ArraySlide
from tests.models.patches_made import request_of
from tests.models.test_nuclei_geojson import box
from tests.models.test_nuclei_qupath import feature

PIXELS = np.random.default_rng(0).integers(0, 255, (320, 480, 3), np.uint8)
SLIDE = ArraySlide((PIXELS, PIXELS[::2, ::2]), (1.0, 2.0), mpp=0.25, name="a")
CLASSES = ("tumour", "stroma [loose]")


def write(folder: Path, *features: dict[str, Any], name: str = "a") -> Path:
    (folder / f"{name}.svs").touch()
    (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


def area(x: int, y: int, width: int, height: int, name: str) -> dict[str, Any]:
    return feature(box(x, y, width, height), "annotation", name)


def patches_of(path: Path, slide: ArraySlide = SLIDE, mpp: float | None = 0.25, **source: Any) -> list[Patch]:
    def open_slide(found: Path, slide_mpp: float | None) -> SlideReader:
        return replace(slide, mpp=slide_mpp or slide.mpp, name=found.stem)

    return list_annotations(request_of(path, CLASSES, 32, mpp, open_slide, kind="annotations", **source))


def places_of(patches: list[Patch], name: str) -> list[tuple[int, int] | None]:
    return [one.corner_px for one in patches if one.labels == (name,)]


def test_patches_lie_on_the_grid_in_the_annotations_of_their_class(tmp_path: Path) -> None:
    write(tmp_path, area(32, 64, 64, 32, "tumour"), area(200, 0, 60, 30, "stroma [loose]"), area(0, 0, 480, 320, "all"))
    patches = patches_of(tmp_path)
    assert places_of(patches, "tumour") == [(64, 32), (64, 64)]
    assert places_of(patches, "stroma [loose]") == [(0, 192), (0, 224)]
    assert len(patches) == 4
    assert np.array_equal(patches[2].read(), PIXELS[64:96, 32:64])
    assert {(one.group, one.mpp) for one in patches} == {("a", 0.25)}


def test_a_patch_belongs_to_the_class_that_covers_most_and_more_than_half_of_it(tmp_path: Path) -> None:
    write(tmp_path, area(0, 0, 52, 32, "tumour"), area(52, 0, 28, 32, "stroma [loose]"))
    patches = patches_of(tmp_path)
    assert places_of(patches, "tumour") == [(0, 0), (0, 32)]
    assert places_of(patches, "stroma [loose]") == []  # half of (0, 64) is not more than half


def test_patches_in_two_classes_alike_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, area(0, 0, 64, 32, "tumour"), area(32, 0, 64, 32, "stroma [loose]"))
    with caplog.at_level(logging.WARNING):
        patches = patches_of(tmp_path)
    assert [one.corner_px for one in patches] == [(0, 0), (0, 64)]
    assert "two classes alike, left out: 1" in caplog.text


def test_holes_of_annotations_are_outside(tmp_path: Path) -> None:
    ring = area(0, 0, 96, 96, "tumour")
    ring["geometry"]["coordinates"].append(box(32, 32, 32, 32))
    write(tmp_path, ring)
    assert (32, 32) not in places_of(patches_of(tmp_path), "tumour")
    assert len(patches_of(tmp_path)) == 8


def test_a_coarser_network_is_shown_a_coarser_level(tmp_path: Path) -> None:
    write(tmp_path, area(64, 64, 128, 64, "tumour"))
    patches = patches_of(tmp_path, mpp=0.5)
    assert [one.corner_px for one in patches] == [(64, 64), (64, 128)]
    assert {one.mpp for one in patches} == {0.5}
    assert np.array_equal(patches[0].read(), PIXELS[::2, ::2][32:64, 32:64])


def test_a_resolution_between_the_levels_is_read_from_the_finer_one(tmp_path: Path) -> None:
    write(tmp_path, area(0, 0, 480, 320, "tumour"))
    patches = patches_of(tmp_path, replace(SLIDE, levels=(PIXELS,), downsamples=(1.0,)), mpp=0.375)
    assert [one.corner_px for one in patches][:3] == [(0, 0), (0, 48), (0, 96)]
    assert patches[0].mpp == pytest.approx(0.375)
    assert patches[0].read().shape == (32, 32, 3)


@given(st.integers(0, 200), st.integers(0, 150), st.integers(20, 250), st.integers(20, 150))
def test_all_patches_lie_for_the_most_part_in_their_annotation(
    tmp_path_factory: pytest.TempPathFactory, x: int, y: int, width: int, height: int
) -> None:
    folder = tmp_path_factory.mktemp("slides")
    write(folder, area(x, y, width, height, "tumour"))
    annotated = shapely.box(x, y, x + width, y + height)
    corners = {one.corner_px for one in patches_of(folder)}
    for top in range(0, 320, 32):
        for left in range(0, 480, 32):
            share = shapely.box(left, top, left + 32, top + 32).intersection(annotated).area / 32**2
            assert ((top, left) in corners) == (share > 0.5)


def test_glass_in_an_annotation_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, area(0, 0, 64, 32, "tumour"))
    pixels = PIXELS.copy()
    pixels[:, :32] = 255
    slide = replace(SLIDE, levels=(pixels,), downsamples=(1.0,))
    assert [one.corner_px for one in patches_of(tmp_path, slide)] == [(0, 32)]
    assert len(patches_of(tmp_path, slide, least_tissue=0.0)) == 2


def test_every_slide_with_a_geojson_is_read_and_one_can_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, area(0, 0, 32, 32, "tumour"), name=name)
    (tmp_path / "c.svs").touch()
    assert [one.group for one in patches_of(tmp_path)] == ["a", "b"]
    assert [one.group for one in patches_of(tmp_path / "b.svs")] == ["b"]


def test_a_slide_without_a_geojson_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    with pytest.raises(TrainingError, match=r"a\.svs: no GeoJSON of the same stem beside it"):
        patches_of(tmp_path / "a.svs")


def test_annotations_of_other_classes_or_another_slide_are_refused(tmp_path: Path) -> None:
    write(tmp_path, area(0, 0, 32, 32, "Tumour"))
    with pytest.raises(TrainingError, match=r"a\.geojson: nothing in it is annotated as tumour or stroma \[loose\]"):
        patches_of(tmp_path)
    write(tmp_path, area(5000, 0, 32, 32, "tumour"))
    with pytest.raises(TrainingError, match=r"a\.geojson: 1 of 1 outlines lie outside a\.svs of 480 x 320 px"):
        patches_of(tmp_path)


def test_a_slide_that_states_no_resolution_asks_for_it(tmp_path: Path) -> None:
    write(tmp_path, area(0, 0, 32, 32, "tumour"))
    with pytest.raises(TrainingError, match=r"a: wanted at 0\.25 um per px, but nobody says.*\n.*slide_mpp"):
        patches_of(tmp_path, replace(SLIDE, mpp=None))
    assert patches_of(tmp_path, replace(SLIDE, mpp=None), slide_mpp=0.25)[0].mpp == 0.25


@pytest.mark.slides
def test_a_real_slide_is_read_at_the_networks_resolution(data: Path, tmp_path: Path) -> None:
    (tmp_path / "CMU.svs").symlink_to(data / "wsi/CMU-1-Small-Region.svs")
    features = [area(400, 400, 800, 800, "tumour"), area(1200, 1600, 600, 900, "stroma [loose]")]
    (tmp_path / "CMU.geojson").write_text(json.dumps(features))
    patches = list_annotations(request_of(tmp_path, CLASSES, 50, 4.0, open_training_slide, least_tissue=0.0))
    assert {one.group for one in patches} == {"CMU"}
    assert {one.labels[0] for one in patches} == set(CLASSES)
    assert patches[0].mpp == pytest.approx(4.0, rel=0.25)
    assert patches[0].read().shape == (50, 50, 3)
