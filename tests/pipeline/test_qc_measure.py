"""What is measured of cells: known values on pictures that were made for them, the same bits in any tiling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.qc_measure import COARSE, DENSITY_RGB, DIRT_SHARE, FINE, HALO_PX, MEASURES, MIDDLE, measure
from tests.pipeline.qc_truth import measure_in_tiles

WHITE = (240.0, 240.0, 240.0)
CELL = 32


def measured(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return measure(pixels, (slice(0, pixels.shape[0]), slice(0, pixels.shape[1])), CELL, WHITE)


@settings(max_examples=12)
@given(tile=st.integers(1, 12), crop=st.tuples(st.integers(150, 330), st.integers(150, 330)))
def test_cells_have_the_same_bits_in_tiles_of_any_size(
    tissue_crop: NDArray[np.uint8], tile: int, crop: tuple[int, int]
) -> None:
    pixels = tissue_crop[: crop[0], : crop[1]]
    whole = measured(pixels)
    assert whole.shape == (-(-crop[0] // CELL), -(-crop[1] // CELL), MEASURES)
    np.testing.assert_array_equal(measure_in_tiles(pixels, CELL, tile * CELL, WHITE), whole)


def test_no_measurement_looks_beyond_the_halo(tissue_crop: NDArray[np.uint8]) -> None:
    pixels = tissue_crop[:256, :256].copy()
    inner = slice(96, 96 + CELL), slice(96, 96 + CELL)
    before = measure(pixels, inner, CELL, WHITE)
    outside = np.ones(pixels.shape[:2], np.bool_)
    outside[96 - HALO_PX : 96 + CELL + HALO_PX, 96 - HALO_PX : 96 + CELL + HALO_PX] = False
    pixels[outside] = 0
    np.testing.assert_array_equal(measure(pixels, inner, CELL, WHITE), before)


def test_a_flat_picture_has_no_detail_and_the_density_of_its_light() -> None:
    flat = np.full((64, 64, 3), (120, 60, 200), np.uint8)
    found = measured(flat)
    assert (found[..., [FINE, MIDDLE, COARSE]] == 0).all()
    np.testing.assert_allclose(found[0, 0, DENSITY_RGB], np.log(248 / (np.array([120, 60, 200]) + 8)), rtol=1e-6)


def test_density_is_that_of_the_brighter_pixels() -> None:
    picture = np.full((CELL, CELL, 3), 200, np.uint8)
    picture[: CELL // 2] = 20  # nuclei over half of it
    assert measured(picture)[0, 0, DENSITY_RGB] == pytest.approx(np.log(248 / 208), rel=1e-5)


def test_dirt_is_dark_and_colourless() -> None:
    picture = np.full((CELL, 3 * CELL, 3), 220, np.uint8)
    picture[:8, :CELL] = (50, 50, 50)
    picture[:8, CELL : 2 * CELL] = (90, 40, 110)  # a dark nucleus
    assert measured(picture)[0, :, DIRT_SHARE].tolist() == [0.25, 0.0, 0.0]


@pytest.mark.parametrize(("sigma_px", "most"), [(1.0, 0.62), (2.0, 0.3)])
def test_blur_takes_fine_detail_first(tissue_crop: NDArray[np.uint8], sigma_px: float, most: float) -> None:
    light = ndimage.gaussian_filter(tissue_crop.astype(np.float64), (sigma_px, sigma_px, 0))
    sharp, soft = measured(tissue_crop), measured(np.rint(light).astype(np.uint8))
    left = [float(soft[..., octave].mean() / sharp[..., octave].mean()) for octave in (FINE, MIDDLE, COARSE)]
    assert left[0] < left[1] < left[2]
    assert left[0] / left[1] < most
