import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.errors import ConfigError
from pipeline.geometry import Box, Frame
from pipeline.synthetic import VIOLET_BELOW_RED, Nuclei, SyntheticTruth, write_synthetic_slide
from pipeline.synthetic_tissue import BACKGROUND
from tests.stand_ins import VIOLET_RADIUS_PX, violet
from tests.strategies import boxes_in

TRUTH = SyntheticTruth(700, 900, 0.5, seed=3)
WHOLE = TRUTH.render(TRUTH.frame.box)
MASK = TRUTH.render_mask(TRUTH.frame.box)
NUCLEI = TRUTH.nuclei()

any_box = boxes_in(TRUTH.frame)


@given(any_box)
def test_a_box_rendered_alone_is_a_crop_of_the_whole(box: Box) -> None:
    np.testing.assert_array_equal(TRUTH.render(box), WHOLE[box.slices()])
    np.testing.assert_array_equal(TRUTH.render_mask(box), MASK[box.slices()])


@given(any_box)
def test_nuclei_of_a_box_are_those_whose_centres_lie_in_it(box: Box) -> None:
    inside = [box.contains(y, x) for y, x in zip(NUCLEI.y, NUCLEI.x, strict=True)]
    np.testing.assert_array_equal(TRUTH.nuclei(box).x, NUCLEI.x[inside])


@given(st.integers(150, 600))
def test_blocks_hold_every_nucleus_once(side_px: int) -> None:
    found = np.concatenate([nuclei.y for nuclei in TRUTH.nuclei_by_block(side_px)])
    np.testing.assert_array_equal(np.sort(found), np.sort(NUCLEI.y))


def test_nuclei_are_as_many_as_asked_for_where_all_is_tissue() -> None:
    truth = SyntheticTruth(4000, 3000, 0.25, nuclei_per_mm2=2500, tissue_share=1)
    assert len(truth.nuclei()) == pytest.approx(2500 * 4 * 3 / 16, rel=0.05)


def test_a_slide_may_have_no_nuclei() -> None:
    truth = SyntheticTruth(300, 300, 0.5, nuclei_per_mm2=0, tissue_share=1)
    assert len(truth.nuclei()) == 0
    assert not truth.render_mask(truth.frame.box).any()
    assert not truth.is_nucleus(np.array([1.0]), np.array([1.0])).any()


def test_nuclei_do_not_touch_and_are_the_ellipses_that_the_truth_says() -> None:
    labels, count = ndimage.label(MASK, np.ones((3, 3)))
    assert count == len(NUCLEI) > 60
    numbers = labels[NUCLEI.y.astype(int), NUCLEI.x.astype(int)]
    assert sorted(numbers) == list(range(1, count + 1))
    areas_px = np.bincount(labels.ravel())[numbers]
    np.testing.assert_allclose(areas_px, math.pi * NUCLEI.semi_major_px * NUCLEI.semi_minor_px, rtol=0.06)
    centres = np.array(ndimage.center_of_mass(MASK, labels, numbers)) + 0.5
    np.testing.assert_allclose(centres, np.stack([NUCLEI.y, NUCLEI.x], axis=1), atol=0.2)


def test_a_nucleus_points_where_the_truth_says() -> None:
    labels, _ = ndimage.label(MASK)
    long_ones = np.flatnonzero(NUCLEI.semi_major_px > 1.5 * NUCLEI.semi_minor_px)
    assert len(long_ones) > 5
    for index in long_ones:
        y, x = np.nonzero(labels == labels[int(NUCLEI.y[index]), int(NUCLEI.x[index])])
        (yy, yx), (_, xx) = np.cov(np.stack([y, x]))
        angle = 0.5 * math.atan2(2 * yx, xx - yy)
        assert math.cos(2 * (angle - NUCLEI.angle[index])) > 0.97


def test_an_outline_is_at_distance_zero() -> None:
    nucleus = Nuclei(*(np.array([value]) for value in (20.0, 30.0, 9.0, 5.0, 0.6)))
    turn = np.linspace(0, 2 * math.pi, 50)
    along, across = 9 * np.cos(turn), 5 * np.sin(turn)
    y, x = 20 + along * math.sin(0.6) + across * math.cos(0.6), 30 + along * math.cos(0.6) - across * math.sin(0.6)
    np.testing.assert_allclose(nucleus.distance_px(y[np.newaxis], x[np.newaxis]), 0, atol=1e-9)
    assert nucleus.distance_px(np.array([[20.0]]), np.array([[30.0]])) < -1


def test_pixels_and_points_agree_on_what_is_nucleus() -> None:
    y, x = (places.ravel() for places in np.mgrid[100:300, 200:450])
    np.testing.assert_array_equal(TRUTH.is_nucleus(y + 0.5, x + 0.5), MASK[y, x])
    assert MASK[y, x].any()


def test_nuclei_are_what_is_violet() -> None:
    seen = WHOLE[..., 0] < VIOLET_BELOW_RED
    assert (seen != MASK).sum() < 0.02 * MASK.sum()


def test_nuclei_lie_on_tissue_and_whole_on_the_slide() -> None:
    truth = SyntheticTruth(600, 600, 0.5, tissue_share=1)
    nuclei = truth.nuclei()
    assert (nuclei.y - nuclei.semi_major_px > 0).all()
    assert (nuclei.x + nuclei.semi_major_px < truth.width).all()
    assert TRUTH.is_tissue(NUCLEI.y, NUCLEI.x).all()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 1.0])
def test_tissue_covers_the_share_that_was_asked_for(share: float) -> None:
    truth = SyntheticTruth(800, 700, 0.5, nuclei_per_mm2=0, tissue_share=share)
    covered = (truth.render(truth.frame.box) != BACKGROUND).any(axis=-1)
    assert covered.mean() == pytest.approx(share, abs=0.03)


def test_far_corners_of_a_huge_slide_are_rendered_as_near_ones_are() -> None:
    truth = SyntheticTruth(100_000, 100_000, 0.25, seed=1)
    box = Box(52_000, 48_000, 600, 500)
    picture = truth.render(box)
    part = Box(52_100, 48_200, 50, 70)
    np.testing.assert_array_equal(truth.render(part), picture[part.relative_to(box).slices()])
    labels, count = ndimage.label(truth.render_mask(box))
    assert abs(count - len(truth.nuclei(box))) <= len(np.unique(labels[[0, -1]])) + len(np.unique(labels[:, [0, -1]]))


def test_the_seed_decides_everything() -> None:
    box = Box(100, 100, 400, 400)
    np.testing.assert_array_equal(SyntheticTruth(700, 900, 0.5, seed=3).render(box), TRUTH.render(box))
    assert (SyntheticTruth(700, 900, 0.5, seed=4).render(box) != TRUTH.render(box)).any()


def test_the_truth_is_small_enough_to_travel() -> None:
    travelled = pickle.dumps(TRUTH)
    assert len(travelled) < 500
    assert pickle.loads(travelled) == TRUTH


@pytest.mark.parametrize(
    ("mpp", "density", "share", "said"),
    [(0.5, 20_000, 0.5, "touch each other"), (8.0, 2000, 0.5, "touch each other"), (0.5, -1, 0.5, "-1 nuclei"),
     (0.5, 2000, 0.0, "share of 0.0"), (0.5, 2000, 1.2, "share of 1.2")],
)  # fmt: skip
def test_impossible_slides_are_refused(mpp: float, density: float, share: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SyntheticTruth(500, 500, mpp, density, share)


def test_what_is_written_is_what_the_truth_renders(
    synthetic_slide: tuple[Path, SyntheticTruth], tmp_path: Path
) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "lossless.svs"
    truth = write_synthetic_slide(path, 300, 500, 0.5, compression="deflate", level_downsamples=(1,))
    np.testing.assert_array_equal(tifffile.imread(path), truth.render(truth.frame.box))
    path, truth = synthetic_slide
    off = np.abs(tifffile.imread(path).astype(int) - truth.render(truth.frame.box))
    assert off.mean() < 2


def test_the_stand_in_network_sees_every_nucleus_through_jpeg(synthetic_slide: tuple[Path, SyntheticTruth]) -> None:
    tifffile = pytest.importorskip("tifffile")
    path, truth = synthetic_slide
    probabilities = violet(tifffile.imread(path)[np.newaxis])[0]
    found, count = ndimage.label(probabilities[..., 0] < 0.5, np.ones((3, 3)))
    nuclei = truth.nuclei()
    assert count == len(nuclei) > 200
    assert (found[nuclei.y.astype(int), nuclei.x.astype(int)] > 0).all()
    assert (probabilities.argmax(axis=-1)[nuclei.y.astype(int), nuclei.x.astype(int)] == 1).all()


@given(boxes_in(Frame(200, 200, 1.0)))
def test_the_stand_in_network_looks_no_further_than_it_says(core: Box) -> None:
    corner = Box(250, 250, 200, 200)
    image = WHOLE[corner.slices()]
    read = Box(0, 0, 200, 200).clip(core.grow(VIOLET_RADIUS_PX))
    alone = violet(image[read.slices()][np.newaxis])[0][core.relative_to(read).slices()]
    np.testing.assert_array_equal(alone, violet(image[np.newaxis])[0][core.slices()])
