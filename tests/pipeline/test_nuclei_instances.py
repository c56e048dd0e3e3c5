from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from models.nuclei_channels import true_offsets
from pipeline.errors import ConfigError
from pipeline.nuclei_instances import NotProbabilities, NucleiParameters, nucleus_probability, segment
from tests.pipeline.nuclei_maps import SMALL, discs, probabilities_of, random_probabilities, with_random_offsets


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


def test_offsets_part_what_neither_contour_nor_neck_tells_apart() -> None:
    truth = discs((60, 100), [(30.0, 38.0, 14.0), (30.0, 58.0, 14.0)])
    merged = probabilities_of((truth > 0).astype(np.int32))
    parameters = NucleiParameters(seed_height_px=20.0)
    assert segment(merged, parameters).max() == 1
    told = np.concatenate([merged, np.moveaxis(true_offsets(truth), 0, -1)], axis=-1)
    labels = segment(told, parameters)
    assert labels.max() == 2
    for nucleus in (1, 2):
        found = labels == labels[truth == nucleus][len(labels) // 2]
        assert (found & (truth == nucleus)).sum() / (found | (truth == nucleus)).sum() > 0.9
    assert segment(told, replace(parameters, offsets_weight=0.0)).max() == 1


def test_offsets_are_no_probability_of_nucleus() -> None:
    probabilities = probabilities_of(discs((40, 50), [(20.0, 20.0, 8.0)]))
    offsets = np.full((40, 50, 2), 7, np.float32)
    for classes in (probabilities, probabilities[..., :2]):
        with_offsets = np.concatenate([classes, offsets], axis=-1)
        assert np.array_equal(nucleus_probability(with_offsets), nucleus_probability(classes))


def test_the_card_sets_parameters_and_unknown_keys_are_refused() -> None:
    assert NucleiParameters.from_card({"least_area_px": 30}).least_area_px == 30
    with pytest.raises(ConfigError, match="unknown keys: treshold"):
        NucleiParameters.from_card({"treshold": 0.4})
    with pytest.raises(ConfigError, match="foreground_threshold = 2"):
        NucleiParameters(foreground_threshold=2)


@pytest.mark.parametrize("everywhere", [0, 1, 2])
def test_a_map_of_one_class_has_no_label(everywhere: int) -> None:
    probabilities = np.zeros((250, 260, 3), np.float32)
    probabilities[..., everywhere] = 1
    assert segment(probabilities, NucleiParameters()).max() == 0


def test_a_map_packed_with_nuclei_gives_each_of_them() -> None:
    grid = [(y + 0.5, x + 0.5, 10.0) for y in range(12, 240, 21) for x in range(12, 240, 21)]
    truth = discs((252, 252), grid)
    labels = segment(probabilities_of(truth), NucleiParameters())
    assert labels.max() == len(grid)
    assert ((labels > 0) == (truth > 0)).mean() > 0.99


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("smoothing_px", [0.0, 1.0])
@pytest.mark.parametrize("channel", [1, 4])
def test_a_map_with_what_is_no_number_is_refused_in_two_lines(wrong: float, smoothing_px: float, channel: int) -> None:
    probabilities = probabilities_of(discs((40, 50), [(20.0, 20.0, 8.0)]))
    probabilities = with_random_offsets(probabilities, 0)
    probabilities[3, 4, channel] = wrong
    with pytest.raises(NotProbabilities, match=r"no numbers .* at 1 of 2000 px") as caught:
        segment(probabilities, NucleiParameters(smoothing_px=smoothing_px))
    assert len(str(caught.value).splitlines()) == 2


def test_the_instance_step_needs_numpy_scipy_and_numba_alone() -> None:
    """Where a network is only trained there is neither a store nor a table."""
    code = """
import sys, numpy
from pipeline.nuclei_instances import NucleiParameters, segment
assert "numba" not in sys.modules
segment(numpy.zeros((9, 9, 3), numpy.float32), NucleiParameters())
print(*{name.partition('.')[0] for name in sys.modules})
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numba" in loaded
    assert not set(loaded) & {
        "skimage", "pyarrow", "shapely", "zarr", "dask", "torch", "tiffslide", "openslide"
    }  # fmt: skip
