from __future__ import annotations

import numpy as np
import pytest

from models.card import Card
from models.whole_image import predict_whole
from tests.models.examples import SMALL_SR, SMALL_SRGAN, SMALL_UNET, card, predictor, tissue


@pytest.mark.parametrize("of", [card(SMALL_SR), card(SMALL_SRGAN), card(SMALL_UNET)], ids=["sr", "srgan", "unet"])
def test_core_by_core_is_the_whole_image(of: Card) -> None:
    compute, image = predictor(of), tissue(75, 90)
    whole = predict_whole(compute, image)
    tiled = predict_whole(compute, image, at_once_px=80, core_px=34)  # no multiple of the stride: rounded up to one
    assert tiled.shape == whole.shape == (75 * compute.scale, 90 * compute.scale, 3)
    assert tiled.dtype == whole.dtype
    if of.task == "superresolution":
        assert np.abs(tiled.astype(int) - whole).max() <= 1
    else:
        np.testing.assert_allclose(tiled, whole, atol=1e-5 * whole.std())


class Counting:
    """Inverts, and remembers the sizes of what it was given."""

    scale, halo_px, stride_px = 1, 3, 4

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, tiles: np.typing.NDArray[np.uint8]) -> np.typing.NDArray[np.uint8]:
        self.shapes.append(tiles.shape)
        return 255 - tiles


def test_small_images_go_through_at_once_and_large_ones_within_core_and_halo() -> None:
    image = tissue(50, 40)
    at_once, tiled = Counting(), Counting()
    assert np.array_equal(predict_whole(at_once, image, at_once_px=50), 255 - image)
    assert np.array_equal(predict_whole(tiled, image, at_once_px=49, core_px=16), 255 - image)
    assert at_once.shapes == [(1, 50, 40, 3)]
    assert len(tiled.shapes) == 4 * 3
    assert max(max(shape) for shape in tiled.shapes) == 16 + 2 * 3
