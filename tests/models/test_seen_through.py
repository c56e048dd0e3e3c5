"""Training images after a coarser scan: their size and labels stay, their detail goes."""

from __future__ import annotations

import numpy as np
import pytest

from models.data_nuclei import NucleiSet
from models.degrade import enlarge_bicubic, reduce_bicubic
from models.errors import TrainingError, UnknownBundle
from models.nuclei_image import LabelledImage
from models.seen_through import SeenImages, see_through


def image(side_px: int) -> LabelledImage:
    rng = np.random.default_rng(side_px)
    pixels = rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    return LabelledImage(f"i{side_px}", pixels, rng.integers(0, 3, (side_px, side_px)).astype(np.int32), instances=True)


def of(*images: LabelledImage) -> NucleiSet:
    return NucleiSet("made", 1.0, list(images), [], [], ("P1",), (), ())


def test_bicubic_gives_what_a_reduction_and_an_enlargement_give() -> None:
    one = image(32)
    (seen,) = see_through([of(one)], ["bicubic-x2"])
    assert np.array_equal(seen.train[0].image, enlarge_bicubic(reduce_bicubic(one.image, 2), 2))
    assert np.array_equal(seen.train[0].labels, one.labels)


def test_an_image_is_worked_out_when_it_is_asked_for_and_only_once() -> None:
    (seen,) = see_through([of(image(32), image(48))], ["bicubic-x2"])
    assert isinstance(seen.train, SeenImages)
    assert not seen.train._shown
    assert seen.train[-1] is seen.train[1]
    assert list(seen.train._shown) == [1]
    assert [one.labels.shape[0] for one in seen.train[:]] == [32, 48]


def test_every_image_is_seen_in_every_way() -> None:
    (seen,) = see_through([of(image(32), image(48))], ["bicubic-x2", "bicubic-x4"])
    assert [one.labels.shape[0] for one in seen.train] == [32, 48, 32, 48]


def test_a_super_resolver_enlarges_to_the_images_own_size() -> None:
    (seen,) = see_through([of(image(32))], ["sr-x2"], device="cpu")
    assert seen.train[0].image.shape == (32, 32, 3)


def test_sets_without_images_to_train_on_are_left_out() -> None:
    assert see_through([of()], ["bicubic-x2"]) == []


def test_a_bundle_that_enlarges_nothing_is_refused() -> None:
    with pytest.raises(TrainingError, match="seen_through: nuclei-unet: a network for nuclei"):
        see_through([of(image(32))], ["nuclei-unet"], device="cpu")


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UnknownBundle, match="nearest-x2"):
        see_through([of(image(32))], ["nearest-x2"])
