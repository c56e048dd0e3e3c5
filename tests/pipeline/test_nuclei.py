from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid
from pipeline.nuclei import owned_nuclei
from pipeline.nuclei_instances import NucleiParameters
from tests.pipeline.nuclei_maps import (
    SMALL,
    discs,
    frame_of,
    probabilities_of,
    random_pixels,
    random_probabilities,
    tile_of,
    with_random_offsets,
)

ORDER = ["centroid_y_level0_px", "centroid_x_level0_px", "area_level0_px"]


def whole(probabilities: NDArray[np.float32], parameters: NucleiParameters, mpp: float = 0.25) -> pa.Table:
    frame = frame_of(probabilities, mpp)
    pixels = random_pixels(0, frame.shape)
    return owned_nuclei(probabilities, pixels, tile_of(frame.box), frame, frame, None, parameters)


def in_tiles(probabilities: NDArray[np.float32], core_px: int, halo_px: int, parameters: NucleiParameters) -> pa.Table:
    frame = frame_of(probabilities, 0.25)
    pixels = random_pixels(0, frame.shape)
    tables = [
        owned_nuclei(
            probabilities[tile.read.slices()], pixels[tile.read.slices()], tile, frame, frame, None, parameters
        )
        for tile in TileGrid(frame, core_px, halo_px)
    ]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in ORDER])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([23, 40, 64, 90, 131]), st.sampled_from([1.5, 3.0, 6.0]))
def test_tiles_of_any_size_give_the_same_nuclei_to_the_bit(seed: int, core_px: int, grain_px: float) -> None:
    probabilities = random_probabilities(seed, (180, 160), grain_px)
    assert in_tiles(probabilities, core_px, SMALL.halo_px, SMALL).equals(whole(probabilities, SMALL))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([23, 40, 64, 90, 131]))
def test_nor_do_they_where_the_network_gives_offsets(seed: int, core_px: int) -> None:
    probabilities = with_random_offsets(random_probabilities(seed, (180, 160)), seed + 1)
    assert in_tiles(probabilities, core_px, SMALL.halo_px, SMALL).equals(whole(probabilities, SMALL))


def test_clusters_wider_than_a_nucleus_come_apart_the_same_in_every_tile() -> None:
    chain = [(40.0 + 6 * (i % 2), 12.0 + 11 * i, 8.0) for i in range(25)]
    labels = discs((90, 300), chain)
    seeds = (ndimage.binary_erosion(labels > 0)).astype(np.int32)
    probabilities = probabilities_of(seeds)  # one seed, 280 px long
    expected = whole(probabilities, SMALL)
    assert 20 <= expected.num_rows <= 25
    assert expected["area_level0_px"].to_numpy().min() > 30
    for core_px in (30, 64, 100):
        assert in_tiles(probabilities, core_px, SMALL.halo_px, SMALL).equals(expected)


def test_a_halo_that_is_too_small_loses_nuclei() -> None:
    probabilities = probabilities_of(discs((80, 80), [(40.0, 40.0, 8.0)]))
    assert whole(probabilities, SMALL).num_rows == 1
    assert in_tiles(probabilities, 39, 2, SMALL).num_rows == 0


def test_what_a_nucleus_encloses_belongs_to_it() -> None:
    ring = discs((60, 60), [(30.0, 30.0, 20.0)])
    ring[discs((60, 60), [(30.0, 30.0, 9.0)]) > 0] = 0
    probabilities = probabilities_of(ring)
    inner = probabilities_of(discs((60, 60), [(30.0, 30.0, 6.0)]))
    probabilities[22:38, 22:38] = inner[22:38, 22:38]
    table = whole(probabilities, NucleiParameters(seed_height_px=5))
    assert table.num_rows == 1
    assert table["area_level0_px"][0].as_py() == (discs((60, 60), [(30.0, 30.0, 20.0)]) > 0).sum() - 0.5


def test_a_nucleus_at_the_border_of_the_slide_is_kept_and_one_cut_by_a_tile_is_not() -> None:
    probabilities = probabilities_of(discs((40, 40), [(2.0, 20.0, 9.0)]))
    slide, pixels = Frame(40, 40, 0.25), random_pixels(0, (40, 40))
    assert owned_nuclei(probabilities, pixels, tile_of(slide.box), slide, slide, None, NucleiParameters()).num_rows == 1
    larger, read = Frame(100, 40, 0.25), Box(50, 0, 40, 40)
    assert owned_nuclei(probabilities, pixels, tile_of(read), larger, larger, None, NucleiParameters()).num_rows == 0


def test_a_centroid_on_the_edge_of_two_cores_has_one_owner() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[15:25, 10:30] = 1
    probabilities, frame = probabilities_of(labels), Frame(40, 40, 0.25)
    halves = [Box(0, 0, 40, 20), Box(0, 20, 40, 20)]
    tiles, pixels = [tile_of(core, frame.box) for core in halves], random_pixels(0, frame.shape)
    counts = [
        owned_nuclei(probabilities, pixels, tile, frame, frame, None, NucleiParameters()).num_rows for tile in tiles
    ]
    assert counts == [0, 1]  # the centroid is at x = 20


def test_only_nuclei_in_the_mask_are_kept() -> None:
    probabilities = probabilities_of(discs((40, 80), [(20.0, 20.0, 8.0), (20.0, 60.0, 8.0)]))
    frame = Frame(40, 80, 0.5)
    pixels, tile = random_pixels(0, frame.shape), tile_of(frame.box)
    table = owned_nuclei(probabilities, pixels, tile, frame, frame, lambda y, x: (x > 40) & (y > 0), NucleiParameters())
    assert table["centroid_x_level0_px"].to_pylist() == [60.0]
    assert table["centroid_x_um"].to_pylist() == [30.0]


@pytest.mark.parametrize("everywhere", [0, 1, 2])
def test_a_map_of_one_class_holds_no_nucleus(everywhere: int) -> None:
    """All background; one nucleus larger than any; a border around nothing."""
    probabilities = np.zeros((150, 160, 3), np.float32)
    probabilities[..., everywhere] = 1
    table = whole(probabilities, NucleiParameters())
    assert table.num_rows == 0
    assert table.column_names[0] == "geometry"


def test_a_map_of_nucleus_that_is_smaller_than_a_nucleus_is_one() -> None:
    probabilities = np.zeros((30, 40, 3), np.float32)
    probabilities[..., 1] = 1
    table = whole(probabilities, NucleiParameters())
    assert table["area_level0_px"].to_pylist() == [30 * 40 - 0.5]
    assert shapely.bounds(shapely.from_wkb(table["geometry"][0].as_py())).tolist() == [0, 0, 40, 30]


def test_a_single_pixel_is_a_nucleus_only_when_asked_for() -> None:
    probabilities = np.zeros((5, 5, 3), np.float32)
    probabilities[2, 3, 1] = 1
    assert whole(probabilities, NucleiParameters(smoothing_px=0)).num_rows == 0
    row = whole(probabilities, NucleiParameters(smoothing_px=0, least_area_px=1, least_seed_area_px=1)).to_pylist()[0]
    assert (row["centroid_y_level0_px"], row["centroid_x_level0_px"]) == (2.5, 3.5)
    assert row["eccentricity"] == 0


@pytest.mark.parametrize(("mapped", "read"), [((20, 10), (20, 20)), ((20, 20), (10, 20))])
def test_probabilities_and_pixels_must_cover_the_read_box(mapped: tuple[int, int], read: tuple[int, int]) -> None:
    frame, probabilities = Frame(20, 20, 0.25), np.zeros((*mapped, 3), np.float32)
    with pytest.raises(ValueError, match="do not cover a read box"):
        owned_nuclei(probabilities, random_pixels(0, read), tile_of(frame.box), frame, frame, None, NucleiParameters())
