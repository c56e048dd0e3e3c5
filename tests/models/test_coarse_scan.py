"""A coarser scan keeps the labels, and a name says how its pixels come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import write_bundle
from models.coarse_scan import BICUBIC, cut, enlarge_labels, enlarger_of, scan_coarser
from models.degrade import enlarge_bicubic, reduce_bicubic
from models.errors import EvaluationError, UnknownBundle
from models.nuclei_image import LabelledImage
from models.predict import load_predictor
from tests.models.examples import SMALL_SR, SMALL_UNET, card, network, tissue


def image(height: int, width: int) -> LabelledImage:
    labels = np.arange(height * width, dtype=np.int32).reshape(height, width)
    return LabelledImage("a", tissue(height, width), labels, instances=True)


def test_a_coarser_scan_keeps_the_labels_and_loses_detail() -> None:
    one = image(61, 70)
    coarse = scan_coarser(one, 4, lambda low: enlarge_bicubic(low, 4))
    assert np.array_equal(coarse.labels, one.labels[:60, :68])
    assert np.array_equal(coarse.image, enlarge_bicubic(reduce_bicubic(one.image[:60, :68].copy(), 4), 4))
    assert coarse.image.std() < one.image.std()


def test_what_is_not_enlarged_to_the_labels_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 \(20, 20, 3\) was drawn where uint8 \(40, 40, 3\)"):
        scan_coarser(image(40, 40), 2, lambda low: low)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 4]))
def test_enlarged_labels_are_squares(height: int, width: int, factor: int) -> None:
    labels = np.arange(height * width, dtype=np.int32).reshape(height, width)
    large = enlarge_labels(labels, factor)
    assert large.shape == (height * factor, width * factor)
    y, x = np.indices(large.shape)
    assert np.array_equal(large, labels[y // factor, x // factor])


@given(st.integers(4, 40), st.integers(4, 40), st.sampled_from([1, 2, 4]))
def test_a_cut_leaves_whole_pixels_of_the_scan(height: int, width: int, factor: int) -> None:
    one = cut(image(height, width), factor)
    assert one.image.shape[:2] == one.labels.shape == (height - height % factor, width - width % factor)


@given(st.sampled_from([2, 4, 8]), st.integers(1, 9), st.integers(1, 9))
def test_bicubic_is_named_with_its_factor_or_takes_the_one_that_is_asked_for(
    factor: int, height: int, width: int
) -> None:
    low = tissue(height, width)
    for enlarger in (
        enlarger_of(f"bicubic-x{factor}"),
        enlarger_of(BICUBIC, factor),
        enlarger_of(f"bicubic-x{factor}", factor),
    ):
        assert (enlarger.factor, enlarger.card) == (factor, None)
        assert np.array_equal(enlarger.enlarge(low), enlarge_bicubic(low, factor))


def test_a_super_resolver_is_named_by_its_bundle(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "sr", network(card(SMALL_SR)), card(SMALL_SR))
    for factor in (None, 2):
        enlarger = enlarger_of(tmp_path / "sr", factor, device="cpu", precision="fp32")
        assert (enlarger.factor, enlarger.card) == (2, written)
        low = tissue(20, 24)
        assert np.array_equal(enlarger.enlarge(low), load_predictor(tmp_path / "sr", "cpu", "fp32")(low[None])[0])


@pytest.mark.parametrize(
    ("name", "factor", "words"),
    [
        ("sr", 4, "sr: enlarges x2, not x4\nGive 2 for"),
        ("unet", None, "unet: a network for nuclei, where one for superresolution is wanted"),
        ("bicubic-x4", 2, "bicubic-x4: enlarges x4, not x2"),
        ("bicubic-x1", None, "scale 1 enlarges nothing"),
        (BICUBIC, 0, "scale 0 enlarges nothing"),
    ],
)
def test_what_does_not_enlarge_so_is_refused(name: str, factor: int | None, words: str, tmp_path: Path) -> None:
    for of, config in (("sr", SMALL_SR), ("unet", SMALL_UNET)):
        write_bundle(tmp_path / of, network(card(config)), card(config))
    with pytest.raises(EvaluationError, match=words) as error:
        enlarger_of(name if name.startswith(BICUBIC) else tmp_path / name, factor, device="cpu")
    assert len(str(error.value).splitlines()) == 2


def test_bicubic_without_a_factor_is_no_name() -> None:
    with pytest.raises(UnknownBundle, match="bicubic"):
        enlarger_of(BICUBIC)
