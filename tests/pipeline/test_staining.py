"""The masks themselves were looked at; these hold what was seen. Pictures are thumbnails of 8 um a pixel."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.data import immunohistochemistry

from pipeline.staining import stained

Picture = NDArray[np.uint8]
GLASS = (243, 242, 243)
PURPLE, PINK, PALE = (150, 110, 165), (215, 150, 185), (236, 222, 234)
INKS = {
    "blue": (55, 80, 175),
    "green": (35, 135, 85),
    "red": (195, 30, 44),
    "black": (30, 30, 34),
    "teal": (25, 120, 132),
}


def glass(side_px: int = 300, colour: tuple[int, int, int] = GLASS) -> Picture:
    noise = np.random.default_rng(side_px).normal(0, 1, (side_px, side_px, 3))
    return np.asarray(np.clip(np.array(colour) + noise, 0, 255), np.uint8)


def painted(picture: Picture, where: NDArray[np.bool_], colour: tuple[int, int, int], texture: float = 12) -> Picture:
    """Lay a light-absorbing colour of some texture over the part of a picture."""
    light = np.array(colour) / 255 + np.random.default_rng(1).normal(0, texture / 255, (*where.shape, 1))
    soft = ndimage.gaussian_filter(where.astype(float), 0.7)[..., np.newaxis]
    return np.asarray(np.clip(picture * (1 - soft * (1 - light)), 0, 255), np.uint8)


def disk(y: float, x: float, radius: float, side_px: int = 300) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[:side_px, :side_px]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def section() -> tuple[Picture, NDArray[np.bool_]]:
    """Glass with a piece of tissue, and where that is."""
    place = disk(150, 150, 70)
    picture = painted(painted(glass(), place, PINK), disk(140, 160, 40), PURPLE)
    return picture, place


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.parametrize(
    "colour", [GLASS, (228, 222, 230), (250, 248, 238), (215, 215, 213), (255, 255, 255), (0, 0, 0)]
)
def test_bare_glass_of_any_tint_holds_no_tissue(colour: tuple[int, int, int]) -> None:
    assert not stained(glass(colour=colour), 8).any()


def test_tissue_is_found_and_glass_is_not() -> None:
    picture, place = section()
    assert overlap(stained(picture, 8), place) > 0.93


def test_pale_tissue_is_found() -> None:
    place = disk(150, 150, 70)
    assert overlap(stained(painted(glass(), place, PALE, texture=4), 8), place) > 0.93


def test_few_nuclei_in_stroma_as_white_as_glass_are_found() -> None:
    place = disk(150, 150, 90)
    nuclei = place & (np.random.default_rng(4).random(place.shape) < 0.1)
    found = stained(painted(glass(), nuclei, (90, 80, 170)), 8)
    assert overlap(found, place) > 0.85


@pytest.mark.parametrize("colour", [PURPLE, PINK, (222, 205, 222), (90, 60, 90), (37, 10, 35)])
@pytest.mark.parametrize("mpp", [1.0, 8.0])
def test_a_picture_that_is_all_tissue_stays_whole(colour: tuple[int, int, int], mpp: float) -> None:
    everywhere = np.ones((128, 128), np.bool_)
    assert stained(painted(np.full((128, 128, 3), 250, np.uint8), everywhere, colour), mpp).mean() > 0.98


@pytest.mark.parametrize("ink", INKS)
def test_ink_beside_tissue_is_left_out(ink: str) -> None:
    picture, place = section()
    ring = disk(150, 150, 130) & ~disk(150, 150, 118)
    found = stained(painted(picture, ring, INKS[ink], texture=3), 8)
    assert not found[ring].any()
    assert overlap(found, place) > 0.93


@pytest.mark.parametrize("ink", INKS)
def test_tissue_under_ink_is_tissue(ink: str) -> None:
    picture, place = section()
    stroke = np.zeros_like(place)
    stroke[146:154, 100:200] = True
    assert overlap(stained(painted(picture, stroke, INKS[ink], texture=3), 8), place) > 0.93


def test_dust_scratches_edges_and_shadows_are_left_out() -> None:
    picture, place = section()
    random = np.random.default_rng(8)
    for y, x, radius in random.uniform((0, 0, 0.5), (300, 300, 6), (60, 3)):
        if not (disk(y, x, radius + 8) & place).any():
            picture = painted(picture, disk(y, x, radius), (90, 90, 90), texture=2)
    picture[:, 20:22] = picture[:, 20:22] * 0.7
    picture[280:] = picture[280:] * 0.92
    picture[:6], picture[:, -10:] = 0, 3
    shaded = (picture * np.linspace(1, 0.93, 300)[np.newaxis, :, np.newaxis]).astype(np.uint8)
    assert overlap(stained(shaded, 8), place) > 0.93


def test_unscanned_white_around_tinted_glass_is_no_reference() -> None:
    picture = glass(colour=(232, 222, 222))
    picture = painted(picture, disk(150, 150, 40), PINK)
    picture[:, :100] = 255
    assert overlap(stained(picture, 8), disk(150, 150, 40)) > 0.9


def test_lumina_belong_to_tissue_and_open_gaps_do_not() -> None:
    picture, _ = section()
    for part in (disk(100, 150, 6), disk(150, 150, 30)):
        picture[part] = GLASS
    found = stained(picture, 8)
    assert found[100, 150]
    assert not found[150, 150]


def test_brown_and_blue_stains_are_tissue() -> None:
    small = immunohistochemistry().reshape(128, 4, 128, 4, 3).mean(axis=(1, 3)).astype(np.uint8)
    assert stained(small, 2).mean() > 0.95
    brown = painted(glass(), disk(150, 150, 60), (150, 100, 60))
    blue = painted(brown, disk(150, 240, 30), (110, 120, 190))
    assert overlap(stained(blue, 8), disk(150, 150, 60) | disk(150, 240, 30)) > 0.9
