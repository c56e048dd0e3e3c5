"""Mirrored views: their mean does not know left from right, and joins without a seam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.card import Card
from models.errors import BundleError
from models.nuclei_channels import CLASSES, OFFSETS
from models.predict import Predictor
from models.views import MIRRORED, average_views
from tests.models.examples import SMALL_SR, SMALL_UNET, card, network, predictor, tile_wise, tissue

CHANNELS = (*CLASSES, *OFFSETS)
CPU = torch.device("cpu")


def lopsided(image: Tensor) -> NDArray[np.float32]:
    """(n, 1, y, x) to (n, y, x, 5): what a px's upper and left neighbours are, so that mirroring changes it."""
    plane = image[:, 0]
    up, left = plane.roll(1, 1) - plane, plane.roll(1, 2) - plane
    return torch.stack((plane, up.abs(), left.abs() ** 2, up, left), dim=-1).float().numpy()


@pytest.fixture
def image() -> Tensor:
    return torch.from_numpy(np.random.default_rng(3).random((1, 1, 8, 12), np.float32))


def test_one_view_is_what_the_network_says(image: Tensor) -> None:
    np.testing.assert_array_equal(average_views(lopsided, image, 1, CHANNELS), lopsided(image))


@pytest.mark.parametrize(("axis", "turned"), [(1, 3), (2, 4)], ids=["upside down", "left to right"])
def test_what_four_views_say_of_a_mirrored_picture_is_mirrored_and_its_offsets_point_the_other_way(
    image: Tensor, axis: int, turned: int
) -> None:
    signs = np.ones(len(CHANNELS), np.float32)
    signs[turned] = -1
    straight = average_views(lopsided, image, 4, CHANNELS)
    mirrored = average_views(lopsided, image.flip(axis + 1), 4, CHANNELS)
    np.testing.assert_allclose(mirrored, np.flip(straight, axis) * signs, atol=1e-6)
    one_way = lopsided(image.flip(axis + 1))
    assert np.abs(one_way - np.flip(lopsided(image), axis) * signs).max() > 0.1  # one view does know


@pytest.mark.parametrize("views", sorted(MIRRORED))
@pytest.mark.parametrize(("height", "width"), [(96, 104), (77, 90)])
def test_tiles_join_without_a_seam_however_many_views_there_are(views: int, height: int, width: int) -> None:
    of = predictor(card(SMALL_UNET)).card
    compute = Predictor(of, network(of), CPU, "fp32", views)
    seen = tissue(height, width)
    whole = compute(seen[None])[0]
    joined = tile_wise(lambda tile: compute(tile[None])[0], seen, core_px=24, halo_px=compute.halo_px)
    np.testing.assert_allclose(joined, whole, atol=1e-5 * whole.std())
    np.testing.assert_allclose(whole.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("of", "views"), [(card(SMALL_UNET), 3), (card(SMALL_SR), 2)], ids=["three", "of an SR network"]
)
def test_other_numbers_of_views_and_other_tasks_are_refused(of: Card, views: int) -> None:
    with pytest.raises(BundleError, match=f"cannot look at {views} views"):
        Predictor(of, network(of), CPU, "fp32", views)
