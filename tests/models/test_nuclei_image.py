from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.errors import TrainingError
from models.nuclei_image import LabelledImage, at_mpp, read_rgb, refuse_masks, refuse_misfit
from tests.models.examples import tissue
from tests.models.nuclei_drawings import Labels, discs


def labelled(height: int = 60, width: int = 80) -> LabelledImage:
    return LabelledImage("a", tissue(height, width), discs(height, width), instances=True)


def test_an_image_at_the_wanted_resolution_stays_as_it_is() -> None:
    one = labelled()
    assert at_mpp(one, 0.25, 0.25) is one


@pytest.mark.parametrize("found_mpp", [0.2, 0.2325, 0.275, 0.3125])
def test_within_a_factor_of_1_25_the_own_px_are_used(found_mpp: float) -> None:
    one = labelled()
    assert at_mpp(one, found_mpp, 0.25) is one


def test_twice_as_fine_an_image_is_halved_without_aliasing() -> None:
    one = labelled()
    half = at_mpp(one, 0.25, 0.5)
    expected = np.asarray(Image.fromarray(one.image).resize((40, 30), Image.Resampling.BICUBIC))
    assert np.array_equal(half.image, expected)
    assert half.labels.shape == (30, 40)
    assert half.labels.dtype == np.int32


@given(st.floats(0.0625, 1.0))
def test_resampled_labels_cover_the_same_share_and_make_up_no_numbers(found_mpp: float) -> None:
    one = LabelledImage("a", np.zeros((60, 80, 3), np.uint8), discs(), instances=True)
    other = at_mpp(one, found_mpp, 0.25)
    assert other.image.shape[:2] == other.labels.shape
    assert set(np.unique(other.labels)) <= set(np.unique(one.labels))
    assert (other.labels > 0).mean() == pytest.approx((one.labels > 0).mean(), abs=0.03)


@pytest.mark.parametrize("found_mpp", [0.00499, 28.97])
def test_an_implausible_resolution_is_refused(found_mpp: float) -> None:
    with pytest.raises(TrainingError, match=r"^a: .* implausible for nuclei") as error:
        at_mpp(labelled(), found_mpp, 0.25)
    assert str(error.value).count("\n") == 1


def test_an_image_without_detail_enough_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"8 times coarser than the network's 0.25"):
        at_mpp(labelled(), 2.0, 0.25)


def test_labels_of_another_size_are_refused_with_both_names() -> None:
    with pytest.raises(TrainingError, match=r"labels/a\.png: an array \(60, 79\), beside a\.jpg of 60 rows and 80 col"):
        refuse_misfit(tissue(60, 80), discs(60, 79), "a.jpg", Path("labels/a.png"))
    with pytest.raises(TrainingError, match="one channel"):
        refuse_misfit(tissue(60, 80), tissue(60, 80), "a.jpg", "a.png")


def test_an_image_without_px_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"a\.tif: empty, 0 x 4 px"):
        refuse_misfit(np.zeros((4, 0, 3), np.uint8), np.zeros((4, 0)), "a.tif", "a.png")


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_no_instances(value: int) -> None:
    with pytest.raises(TrainingError, match=r'a\.png: 8 separate nuclei share 1 numbers.*\n.*kind = "masks"'):
        refuse_masks(np.where(discs() > 0, value, 0), "a.png")


def test_classes_of_nuclei_are_no_instances() -> None:
    classes = np.where(discs() > 0, 1 + discs() % 2, 0)
    with pytest.raises(TrainingError, match="share 2 numbers"):
        refuse_masks(classes, "a.png")


@pytest.mark.parametrize("labels", [np.zeros((9, 9), np.int32), np.ones((9, 9), np.int32), discs()])
def test_no_nuclei_one_nucleus_and_nothing_but_nucleus_are_instances(labels: Labels) -> None:
    refuse_masks(labels, "a.png")


def test_a_nucleus_in_two_pieces_is_an_instance() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[1:8, 1:8] = 1
    labels[4] = 2
    refuse_masks(labels, "a.png")


def numbered(count: int) -> Labels:
    """Nuclei of a px each, 2 px apart, numbered from 1."""
    side = int(np.ceil(np.sqrt(count)))
    labels = np.zeros((2 * side, 2 * side), np.int32)
    labels[::2, ::2] = np.where(np.arange(side**2) < count, np.arange(1, side**2 + 1), 0).reshape(side, side)
    return labels


def test_as_many_nuclei_as_16_bits_hold_are_instances() -> None:
    refuse_masks(numbered(65_534), "a.png")
    refuse_masks(numbered(66_000), "a.tif")  # in 32 bits


@pytest.mark.parametrize("count", [65_536, 66_000, 140_000])
def test_numbers_that_16_bits_could_not_hold_are_refused(count: int) -> None:
    labels = numbered(count)
    for overflown in (labels.astype(np.uint16).astype(np.int32), np.minimum(labels, 65_535)):
        with pytest.raises(TrainingError, match=r"a\.png: .*beyond 65,535.*\n.*TIFF of 32 bits or an NPY"):
            refuse_masks(overflown, "a.png")


def test_a_part_of_an_image_whose_numbers_stop_at_the_last_of_16_bits_is_refused() -> None:
    part = np.where(numbered(60) > 0, numbered(60) + 65_500, 0)
    refuse_masks(part, "a.png")
    with pytest.raises(TrainingError, match="beyond 65,535"):
        refuse_masks(np.minimum(part, 65_535), "a.png")


def test_few_numbers_up_to_the_last_of_16_bits_are_instances_even_cut_in_two() -> None:
    labels = np.zeros((9, 40), np.int32)
    labels[1:8, 1:8], labels[4] = 65_535, 700
    labels[1:8, 20:24], labels[1:8, 26:30] = 1, 2
    refuse_masks(labels, "a.png")


def test_a_mask_of_the_last_number_is_called_a_mask() -> None:
    with pytest.raises(TrainingError, match="masks or classes"):
        refuse_masks(np.where(discs() > 0, 65_535, 0), "a.png")


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(TrainingError, match=r"a\.png: no readable image"):
        read_rgb(path)


@pytest.mark.slides
@pytest.mark.parametrize("name", ["monuseg", "consep"])
def test_real_instances_are_taken_and_their_masks_are_not(data: Path, name: str) -> None:
    for path in sorted((data / "nuclei" / name / "labels").glob("*.png"))[::7]:
        labels = np.asarray(Image.open(path), np.int32)
        refuse_masks(labels, path)
        if len(np.unique(labels)) > 20:
            with pytest.raises(TrainingError, match="masks or classes"):
                refuse_masks((labels > 0).astype(np.int32), path)
