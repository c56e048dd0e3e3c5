"""What a thumbnail tells: inks, dirt, and where no tissue is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry import Frame
from pipeline.qc_thumbnail import Glance, glance
from tests.pipeline.qc_truth import PENS, Mask, inked

FRAME = Frame(150, 200, 8.0)
STROKE = np.zeros(FRAME.shape, np.bool_)
STROKE[60:85, 20:150] = True


def slide(stain: tuple[int, int, int] = (222, 150, 190)) -> NDArray[np.uint8]:
    """Glass, and on its right half tissue of one stain with violet nuclei; a little noise."""
    random = np.random.default_rng(0)
    picture = np.full((*FRAME.shape, 3), 240.0)
    picture[20:130, 90:190] = stain
    nuclei = np.zeros(FRAME.shape, np.bool_)
    nuclei[20:130, 90:190] = random.random((110, 100)) < 0.3
    picture[nuclei] = np.multiply(stain, (0.62, 0.55, 0.80))
    return np.clip(picture + random.normal(0, 1, picture.shape), 0, 255).astype(np.uint8)


def look(picture: NDArray[np.uint8]) -> Glance:
    return glance(picture, FRAME)


def share(found: Mask, where: Mask) -> float:
    return float(found[where].mean())


def test_a_clean_slide_has_neither_ink_nor_dirt() -> None:
    seen = look(slide())
    assert not seen.pen.any()
    assert not seen.dirt.any()
    assert share(seen.outside, np.s_[:15, :]) == 1  # type: ignore[arg-type]
    assert share(seen.outside, np.s_[40:110, 110:170]) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("pen", PENS)
def test_a_stroke_is_found_on_glass_and_on_tissue(pen: str) -> None:
    seen = look(inked(slide(), STROKE, pen, FRAME.mpp))
    inside = np.zeros(FRAME.shape, np.bool_)
    inside[64:81, 25:80] = True
    assert share(seen.pen, inside) > 0.9
    if not pen.startswith("light"):  # a thin ink on dense tissue looks like tissue
        assert share(seen.pen, np.roll(inside, 70, axis=1)) > 0.9
    far = np.ones(FRAME.shape, np.bool_)
    far[50:95, 10:160] = False
    assert not seen.pen[far].any()


def test_a_speck_is_dirt_and_no_stroke() -> None:
    picture = slide()
    picture[70:74, 40:44] = (60, 60, 62)
    seen = look(picture)
    assert seen.dirt[70:74, 40:44].all()
    assert not seen.pen.any()


def test_inks_that_look_like_the_stain_are_not_told_on_other_stains() -> None:
    brown_and_blue = slide((150, 160, 215))
    seen = look(brown_and_blue)
    assert not seen.told.inks
    assert not seen.pen.any()
    assert look(slide()).told.inks


def test_without_glass_a_dim_lamp_is_neither_dirt_nor_black_ink() -> None:
    dim = (slide()[30:120, 95:185] * 0.4).astype(np.uint8)
    frame = Frame(90, 90, 8.0)
    seen = glance(dim, frame)
    assert not seen.told.white
    assert not seen.dirt.any()
    assert not seen.pen.any()
