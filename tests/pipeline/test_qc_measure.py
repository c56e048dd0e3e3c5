"""What is measured of cells: known values on pictures that were made for them, the same bits in any tiling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.qc_measure import COARSE, DENSITY_RGB, DIRT_SHARE, FINE, HALO_PX, MEASURES, MIDDLE, measure
from tests.pipeline.plain_qc_measure import plainly_measured
from tests.pipeline.qc_truth import measure_in_tiles

Pixels = NDArray[np.uint8]

WHITE = (240.0, 240.0, 240.0)
CELL = 32


def measured(pixels: Pixels) -> NDArray[np.float32]:
    return measure(pixels, (slice(0, pixels.shape[0]), slice(0, pixels.shape[1])), CELL, WHITE)


def pictures() -> st.SearchStrategy[Pixels]:
    """Noise up to black and white, sharp or blurred, and pictures of one colour; 1 to 180 px a side."""
    shapes = st.tuples(st.integers(1, 180), st.integers(1, 180), st.just(3))
    levels = st.sampled_from([(0, 256), (0, 1), (255, 256), (60, 120), (100, 102)])
    return st.builds(_picture, shapes, levels, st.sampled_from([0.0, 0.8, 3.0]), st.integers(0, 99))


def _picture(shape: tuple[int, int, int], levels: tuple[int, int], sigma_px: float, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).integers(*levels, shape).astype(np.float64)
    return np.asarray(np.rint(ndimage.gaussian_filter(noise, (sigma_px, sigma_px, 0))), np.uint8)


def inner_parts(sides: tuple[int, ...]) -> st.SearchStrategy[tuple[slice, slice]]:
    """Parts that begin at even pixels, as tiles do, and end anywhere, as slides do."""
    rows, columns = (
        st.builds(_part, st.just(side), st.integers(0, (side - 1) // 2), st.integers(1, side)) for side in sides
    )
    return st.tuples(rows, columns)


def _part(side: int, pairs_before: int, length: int) -> slice:
    return slice(2 * pairs_before, min(side, 2 * pairs_before + length))


@given(pictures(), st.data(), st.sampled_from([2, 4, 6, 10, 16, 32, 38]))
def test_it_is_to_the_bit_what_plain_filters_find(pixels: Pixels, data: st.DataObject, cell_px: int) -> None:
    inner = data.draw(inner_parts(pixels.shape[:2]))
    pixels.setflags(write=False)  # as a file's pixels may be
    plain = plainly_measured(pixels, inner, cell_px, WHITE)
    np.testing.assert_array_equal(measure(pixels, inner, cell_px, WHITE), plain)


def test_it_is_what_plain_filters_find_of_real_tissue(tissue_crop: Pixels) -> None:
    inner = slice(HALO_PX, 500), slice(0, 470)
    for pixels in (tissue_crop, tissue_crop[::-1, ::-1]):
        plain = plainly_measured(pixels, inner, CELL, WHITE)
        np.testing.assert_array_equal(measure(pixels, inner, CELL, WHITE), plain)


@settings(max_examples=12)
@given(tile=st.integers(1, 12), crop=st.tuples(st.integers(150, 330), st.integers(150, 330)))
def test_cells_have_the_same_bits_in_tiles_of_any_size(tissue_crop: Pixels, tile: int, crop: tuple[int, int]) -> None:
    pixels = tissue_crop[: crop[0], : crop[1]]
    whole = measured(pixels)
    assert whole.shape == (-(-crop[0] // CELL), -(-crop[1] // CELL), MEASURES)
    np.testing.assert_array_equal(measure_in_tiles(pixels, CELL, tile * CELL, WHITE), whole)


def test_no_measurement_looks_beyond_the_halo(tissue_crop: Pixels) -> None:
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
def test_blur_takes_fine_detail_first(tissue_crop: Pixels, sigma_px: float, most: float) -> None:
    light = ndimage.gaussian_filter(tissue_crop.astype(np.float64), (sigma_px, sigma_px, 0))
    sharp, soft = measured(tissue_crop), measured(np.rint(light).astype(np.uint8))
    left = [float(soft[..., octave].mean() / sharp[..., octave].mean()) for octave in (FINE, MIDDLE, COARSE)]
    assert left[0] < left[1] < left[2]
    assert left[0] / left[1] < most
