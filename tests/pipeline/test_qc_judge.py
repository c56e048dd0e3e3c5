"""From measurements whose cause is known to flags; and real tissue with artefacts put on it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.density import tissue_share
from pipeline.geometry import Box, Frame
from pipeline.qc_flags import BLUR, DIRT, FOLD, PEN, QcMap
from pipeline.qc_judge import blurred, dirty, folded, sharpness
from pipeline.qc_measure import COARSE, DENSITY_RGB, DIRT_SHARE, FINE, MEASURES, MIDDLE
from pipeline.slide import open_slide
from tests.pipeline.qc_truth import (
    Mask,
    Pixels,
    band,
    dusty,
    folded_over,
    inked,
    inspect_picture,
    on_cells,
    out_of_focus,
)

CELL_UM = 16.0
EVERYWHERE = np.ones((40, 40), np.bool_)


def cells(fine: float = 40.0, middle: float = 80.0, coarse: float = 100.0, density: float = 0.4) -> NDArray[np.float32]:
    measures = np.zeros((40, 40, MEASURES), np.float32)
    measures[..., [FINE, MIDDLE, COARSE]] = fine, middle, coarse
    measures[..., DENSITY_RGB] = density
    return measures


def test_tissue_with_fine_detail_is_sharp_and_without_is_blurred() -> None:
    measures = cells()
    measures[10:20, 10:20, FINE] = 4.0
    found = blurred(sharpness(measures, EVERYWHERE, CELL_UM), CELL_UM)
    assert found[12:18, 12:18].all()
    assert not found[:7].any()
    assert not found[24:].any()


def test_contrast_alone_is_no_sharpness() -> None:
    pale = cells() * np.float32(0.02)
    assert not blurred(sharpness(pale, EVERYWHERE, CELL_UM), CELL_UM).any()
    loud = cells(fine=40.0, middle=400.0, coarse=2000.0)
    assert blurred(sharpness(loud, EVERYWHERE, CELL_UM), CELL_UM).all()


def test_noise_is_no_sharpness() -> None:
    assert blurred(sharpness(cells(0.05, 0.06, 4.0), EVERYWHERE, CELL_UM), CELL_UM).all()


def test_of_nothing_no_focus_is_told() -> None:
    empty = sharpness(cells(0.05, 0.05, 0.05), EVERYWHERE, CELL_UM)
    assert np.isnan(empty).all()
    assert not blurred(empty, CELL_UM).any()


def test_a_speck_of_blur_is_none() -> None:
    sharp = np.ones((40, 40))
    sharp[5:8, 5:8] = -1.0
    assert not blurred(sharp, CELL_UM).any()


def test_a_fold_is_denser_than_the_slide_and_than_what_lies_around_it() -> None:
    measures = cells()
    measures[:, 18:22, DENSITY_RGB] = 0.8
    found = folded(measures, EVERYWHERE, CELL_UM)
    assert found[2:-2, 18:22].all()
    assert not found[:, :17].any()
    assert not found[:, 23:].any()


def test_tissue_of_one_density_has_no_folds_however_dense() -> None:
    assert not folded(cells(density=1.5), EVERYWHERE, CELL_UM).any()
    assert not folded(cells(), ~EVERYWHERE, CELL_UM).any()


def test_dirt_covers_a_clear_part_of_a_cell() -> None:
    measures = cells()
    measures[3, 4, DIRT_SHARE] = 0.5
    measures[3, 5, DIRT_SHARE] = 0.02
    measures[0, 0] = np.nan
    assert np.argwhere(dirty(measures)).tolist() == [[3, 4]]


@pytest.fixture(scope="module")
def field(data: Path) -> Pixels:
    path = data / "nuclei" / "monuseg" / "images" / "TCGA-21-5784-01Z-00-DX1.webp"
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def section(data: Path) -> Pixels:
    with open_slide(data / "wsi" / "tcga-cr-7395-no-mpp.svs", mpp=0.25) as slide:
        pixels = slide.level(0).read(Box(600, 1400, 1600, 1600)).copy()
    pixels[:, :120] = (242, 237, 241)  # bare glass, which tells what white is
    return pixels


def found_share(pixels: Pixels, mpp: float, where: Mask, value: int) -> tuple[float, float]:
    """Share of tissue cells under an artefact that hold its flag, and of those far from it that hold any."""
    flags, tissue, _ = inspect_picture(pixels, mpp)
    held = tissue_share(tissue, flags.frame.box, flags.frame, Frame(pixels.shape[0], pixels.shape[1], mpp)) >= 0.5
    covered = on_cells(where, mpp, flags)
    return _share(flags, held & (covered > 0.9), value), float((flags.flags[held & (covered == 0)] > 0).mean())


def _share(flags: QcMap, where: Mask, value: int) -> float:
    return float((flags.flags[where] == value).mean())


def test_real_tissue_blurred_by_one_um_is_found_and_the_sharp_half_is_not(field: Pixels) -> None:
    left = np.zeros(field.shape[:2], np.bool_)
    left[:, : field.shape[1] // 2] = True
    found, elsewhere = found_share(out_of_focus(field, left, 4.0), 0.25, left, BLUR)
    assert found > 0.8
    assert elsewhere < 0.25  # a neighbourhood that straddles the edge is part blurred
    assert found_share(field, 0.25, left, BLUR)[0] == 0


@pytest.mark.parametrize("pen", ["blue", "green", "black"])
def test_a_stroke_on_real_tissue_is_found(section: Pixels, pen: str) -> None:
    stroke = band(section.shape, 0.25, 140.0)
    assert found_share(inked(section, stroke, pen, 0.25), 0.25, stroke, PEN)[0] > 0.8
    assert found_share(section, 0.25, stroke, PEN)[0] == 0


def test_three_layers_of_real_tissue_are_a_fold(section: Pixels) -> None:
    crease = band(section.shape, 0.25, 40.0)
    found, elsewhere = found_share(folded_over(section, crease, 3, (300, 0)), 0.25, crease, FOLD)
    assert found > 0.6
    assert elsewhere < 0.02


def test_grains_on_real_tissue_are_dirt(section: Pixels) -> None:
    picture, where = dusty(section, 0.25, 8)
    assert found_share(picture, 0.25, where, DIRT)[0] > 0.7
