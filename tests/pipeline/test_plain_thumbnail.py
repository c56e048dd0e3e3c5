"""Tissue, pens and dirt, found a few rows at a time, are pixel for pixel what plain filters find on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline import local_means
from pipeline.geometry import Frame
from pipeline.qc_thumbnail import glance
from pipeline.slide import open_slide
from pipeline.staining import stained
from pipeline.tissue import look_over
from tests.pipeline.plain_thumbnail import absorbed, plain_specks, plain_strokes, plainly_stained
from tests.pipeline.qc_truth import PENS, band, dusty, inked
from tests.pipeline.real_slides import real_file

Pixels = NDArray[np.uint8]

_COLOURS = [
    (240, 238, 242),
    (255, 255, 255),
    (225, 150, 190),
    (140, 100, 170),
    (90, 90, 92),
    (40, 60, 140),
    (40, 150, 70),
]
_PINK = 2  # inks are told beside it alone
_SLIDES = [
    ("BS9_HE2.tif", None), ("CMU-1-Small-Region.svs", None), ("CMU-1-Small-Region.jp2.tiff", 0.499),
    ("CMU-1-Small-Region.webp.tiff", 0.499), ("CMU-1-Small-Region.wrong-mpp.tiff", 0.499),
    ("OS-1-detail.ome.tif", None), ("boxes.tiff", 0.5), ("camelyon_multiframe_jpeg.dcm", 8.0),
    ("camelyon_multiframe_jpeg.dcm", 0.25), ("tcga-cr-7395-no-mpp.svs", 0.5), ("tcga-cr-7395-no-mpp.svs", 0.25),
]  # fmt: skip


def patches(seed: int, height: int, width: int) -> Pixels:
    """Patches of glass, stains and inks, with soft borders and noise."""
    random = np.random.default_rng(seed)
    kinds = np.array([_PINK, *random.choice(len(_COLOURS), int(random.integers(0, 5)))])
    hills = ndimage.gaussian_filter(random.normal(0, 1, (len(kinds), height, width)), (0, *random.uniform(1, 9, 2)))
    sharp = np.array(_COLOURS)[kinds[hills.argmax(axis=0)]].astype(float)
    soft = ndimage.gaussian_filter(sharp, (0.7, 0.7, 0)) + random.normal(0, random.choice([0, 2, 20]), sharp.shape)
    return np.asarray(np.clip(soft, 0, 255), np.uint8)


def agrees(picture: Pixels, mpp: float) -> None:
    tissue, seen = stained(picture, mpp), glance(picture, Frame(picture.shape[0], picture.shape[1], mpp))
    white = absorbed(picture, mpp)[1]
    assert np.array_equal(tissue, plainly_stained(picture, mpp))
    assert np.array_equal(seen.outside, ~tissue)
    assert np.array_equal(seen.pen, plain_strokes(picture, mpp))
    assert np.array_equal(seen.dirt, plain_specks(picture, mpp) & ~seen.pen & (white is not None))
    assert seen.white == ((240.0,) * 3 if white is None else tuple(white.tolist()))


@settings(deadline=None)
@given(
    st.builds(patches, st.integers(0, 100_000), st.integers(8, 120), st.integers(8, 120)),
    st.sampled_from([0.5, 2.0, 4.9, 5.4, 7.984, 8.0, 11.3]),
)
def test_a_picture_in_strips_holds_what_plain_filters_find(picture: Pixels, mpp: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_means, "_STRIP_PX", 500)
        agrees(picture, mpp)


@pytest.mark.slides
@pytest.mark.parametrize(("name", "mpp"), _SLIDES)
def test_a_real_slide_holds_what_plain_filters_find(name: str, mpp: float | None) -> None:
    with open_slide(real_file(f"wsi/{name}"), mpp) as slide:
        picture, frame = look_over(slide)
    agrees(picture, frame.mpp)
    stroke = band(picture.shape[:2], frame.mpp, 200)
    for pen in PENS:
        agrees(inked(picture, stroke, pen, frame.mpp), frame.mpp)
    agrees(dusty(picture, frame.mpp, 40)[0], frame.mpp)
