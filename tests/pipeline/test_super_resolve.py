import numpy as np
from skimage.data import immunohistochemistry

from pipeline.super_resolve import block_rms, inconsistency

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
