from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid
from pipeline.nuclei import NucleiParameters, owned_nuclei, segment
from tests.pipeline.nuclei_maps import discs, frame_of, probabilities_of, random_probabilities

SMALL = NucleiParameters(
    smoothing_px=0.6, max_hole_px=4, seed_height_px=1.0, max_diameter_px=18, max_growth_px=3, least_area_px=6
)
ORDER = ["centroid_y_level0_px", "centroid_x_level0_px", "area_level0_px"]


def whole(probabilities: NDArray[np.float32], parameters: NucleiParameters, mpp: float = 0.25) -> pa.Table:
    frame = frame_of(probabilities, mpp)
    return owned_nuclei(probabilities, frame.box, frame.box, frame, frame, None, parameters)


def in_tiles(probabilities: NDArray[np.float32], core_px: int, halo_px: int, parameters: NucleiParameters) -> pa.Table:
    frame = frame_of(probabilities, 0.25)
    tables = [
        owned_nuclei(probabilities[tile.read.slices()], tile.read, tile.core, frame, frame, None, parameters)
        for tile in TileGrid(frame, core_px, halo_px)
    ]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in ORDER])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([23, 40, 64, 90, 131]), st.sampled_from([1.5, 3.0, 6.0]))
def test_tiles_of_any_size_give_the_same_nuclei_to_the_bit(seed: int, core_px: int, grain_px: float) -> None:
    probabilities = random_probabilities(seed, (180, 160), grain_px)
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


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.5, 3.0, 6.0]))
def test_every_label_is_one_region_without_holes_of_plausible_size(seed: int, grain_px: float) -> None:
    probabilities = random_probabilities(seed, (120, 110), grain_px)
    labels = segment(probabilities, SMALL)
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    for label in range(1, labels.max() + 1):
        mask = labels == label
        assert ndimage.label(mask)[1] == 1
        assert (ndimage.binary_fill_holes(mask, np.ones((3, 3))) == mask).all()
        assert mask.sum() >= SMALL.least_area_px
        assert max(np.ptp(where) + 1 for where in np.nonzero(mask)) <= SMALL.max_diameter_px


def test_labels_do_not_depend_on_where_the_map_begins() -> None:
    probabilities = random_probabilities(3, (120, 110))
    moved = np.zeros((137, 133, 3), np.float32)
    moved[..., 0] = 1
    moved[8:128, 9:119] = probabilities
    padded = np.zeros((122, 112, 3), np.float32)
    padded[..., 0] = 1
    padded[1:-1, 1:-1] = probabilities
    assert (segment(moved, SMALL)[7:129, 8:120] == segment(padded, SMALL)).all()


def test_touching_nuclei_are_told_apart_and_get_their_whole_area() -> None:
    truth = discs((70, 120), [(35.0, 30.0, 14.0), (35.0, 57.0, 14.0), (35.0, 90.0, 12.0)])
    labels = segment(probabilities_of(truth), NucleiParameters())
    assert labels.max() == 3
    for nucleus in range(1, 4):
        found = labels == labels[truth == nucleus][0]
        assert (found & (truth == nucleus)).sum() / (found | (truth == nucleus)).sum() > 0.97


def test_one_seed_with_a_neck_is_two_nuclei_and_an_oval_one_is_one() -> None:
    y, x = np.mgrid[:60, :120] + 0.5
    two = (discs((60, 120), [(30.0, 40.0, 14.0), (30.0, 62.0, 14.0)]) > 0).astype(np.int32)
    oval = (((y - 30) / 12) ** 2 + ((x - 60) / 25) ** 2 < 1).astype(np.int32)
    assert segment(probabilities_of(two), NucleiParameters()).max() == 2
    assert segment(probabilities_of(oval), NucleiParameters()).max() == 1


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
    slide = Frame(40, 40, 0.25)
    assert owned_nuclei(probabilities, slide.box, slide.box, slide, slide, None, NucleiParameters()).num_rows == 1
    larger, read = Frame(100, 40, 0.25), Box(50, 0, 40, 40)
    assert owned_nuclei(probabilities, read, read, larger, larger, None, NucleiParameters()).num_rows == 0


def test_a_centroid_on_the_edge_of_two_cores_has_one_owner() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[15:25, 10:30] = 1
    probabilities, frame = probabilities_of(labels), Frame(40, 40, 0.25)
    halves = [Box(0, 0, 40, 20), Box(0, 20, 40, 20)]
    counts = [
        owned_nuclei(probabilities, frame.box, core, frame, frame, None, NucleiParameters()).num_rows for core in halves
    ]
    assert counts == [0, 1]  # the centroid is at x = 20


def test_only_nuclei_in_the_mask_are_kept() -> None:
    probabilities = probabilities_of(discs((40, 80), [(20.0, 20.0, 8.0), (20.0, 60.0, 8.0)]))
    frame = Frame(40, 80, 0.5)
    table = owned_nuclei(
        probabilities, frame.box, frame.box, frame, frame, lambda y, x: (x > 40) & (y > 0), NucleiParameters()
    )
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


def test_the_card_sets_parameters_and_unknown_keys_are_refused() -> None:
    assert NucleiParameters.from_card({"least_area_px": 30}).least_area_px == 30
    with pytest.raises(ConfigError, match="unknown keys: treshold"):
        NucleiParameters.from_card({"treshold": 0.4})
    with pytest.raises(ConfigError, match="foreground_threshold = 2"):
        NucleiParameters(foreground_threshold=2)


def test_probabilities_must_cover_the_read_box() -> None:
    frame = Frame(20, 20, 0.25)
    with pytest.raises(ValueError, match=r"\(20, 10\) px do not cover"):
        owned_nuclei(np.zeros((20, 10, 3), np.float32), frame.box, frame.box, frame, frame, None, NucleiParameters())
