import numpy as np
import pytest
from skimage.data import immunohistochemistry

from pipeline.super_resolve import REDUCED_FROM_PX, block_rms, inconsistency

TISSUE = immunohistochemistry()[:128, :128]


def test_a_picture_repeated_pixel_by_pixel_is_nearly_consistent_with_itself() -> None:
    enlarged = TISSUE.repeat(2, axis=0).repeat(2, axis=1)
    assert inconsistency(TISSUE, enlarged).max() < 0.12
    assert inconsistency(TISSUE, enlarged).mean() < 0.01


def test_what_a_network_invents_shows_where_it_did() -> None:
    enlarged = TISSUE.repeat(2, axis=0).repeat(2, axis=1).copy()
    enlarged[64:96, 100:140] = 0
    map_ = inconsistency(TISSUE, enlarged)
    assert map_[34:46, 52:68].min() > 0.2
    assert map_[60:].mean() < 0.01


def test_cells_are_root_mean_squares_of_what_they_hold() -> None:
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    cells = block_rms(values, 4)
    assert cells.shape == (2, 2)
    np.testing.assert_allclose(cells[0, 0], np.sqrt((values[:4, :4] ** 2).mean()), rtol=1e-6)
    np.testing.assert_allclose(cells[1, 1], np.sqrt((values[4:, 4:] ** 2).mean()), rtol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_part_with_its_surroundings_is_as_inconsistent_as_in_the_whole(scale: int) -> None:
    enlarged = np.random.default_rng(scale).integers(0, 256, (128 * scale, 128 * scale, 3), np.uint8)
    part, inner = slice(20, 100), slice(REDUCED_FROM_PX, -REDUCED_FROM_PX)
    of_part = inconsistency(TISSUE[part, part], enlarged[20 * scale : 100 * scale, 20 * scale : 100 * scale])
    np.testing.assert_array_equal(of_part[inner, inner], inconsistency(TISSUE, enlarged)[part, part][inner, inner])
