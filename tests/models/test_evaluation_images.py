from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.degrade import reduce_bicubic
from models.errors import EvaluationError, TrainingError, UnreadableImage
from models.evaluation_images import decode, decode_labelled, decode_pair, files_of, labels_beside
from tests.models.examples import tissue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one with a broken end, and two files that are none."""
    Image.fromarray(tissue(41, 50)).save(tmp_path / "b.png")
    Image.fromarray(tissue(40, 40)).save(tmp_path / "a.png")
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.tif").touch()
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / ".hidden").touch()
    return tmp_path


def test_files_come_by_name_without_hidden_ones_and_folders(folder: Path) -> None:
    (folder / "inner").mkdir()
    assert [path.name for path in files_of(folder)] == ["a.png", "b.png", "cut.png", "empty.tif", "notes.txt"]


def test_a_folder_that_is_absent_or_empty_is_an_error_of_two_lines(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "absent"):
        with pytest.raises(EvaluationError) as error:
            files_of(wrong)
        first, second = str(error.value).splitlines()
        assert str(wrong) in first
        assert second == "Give a folder of images."


@pytest.mark.parametrize("name", ["cut.png", "empty.tif", "notes.txt", "absent.png"])
def test_what_is_no_image_is_named(folder: Path, name: str) -> None:
    with pytest.raises(UnreadableImage, match=f"{name}: no readable image"):
        decode(folder / name)


def test_an_image_that_is_too_small_is_named(folder: Path) -> None:
    assert decode(folder / "a.png", 40).shape == (40, 40, 3)
    with pytest.raises(UnreadableImage, match="40 x 40 px where 41 px a side are needed"):
        decode(folder / "a.png", 41)


def test_a_pair_is_cut_right_and_below_to_a_multiple_of_the_scale(folder: Path) -> None:
    pair = decode_pair(folder / "b.png", 4, "bicubic_aa", "(.)")
    assert pair.patient == pair.name[0] == "b"
    assert np.array_equal(pair.high, tissue(40, 48))
    assert np.array_equal(pair.low, reduce_bicubic(pair.high, 4))


def test_what_is_drawn_by_lot_follows_from_the_name(folder: Path) -> None:
    one, again = (decode_pair(folder / "a.png", 2, "blur_noise_jpeg", "(.)") for _ in range(2))
    assert np.array_equal(one.low, again.low)
    (folder / "a.png").rename(folder / "other.png")
    assert not np.array_equal(one.low, decode_pair(folder / "other.png", 2, "blur_noise_jpeg", "(.)").low)


def test_an_expression_that_finds_no_patient_is_an_error(folder: Path) -> None:
    with pytest.raises(TrainingError, match="finds nothing"):
        decode_pair(folder / "a.png", 2, "bicubic_aa", r"(\d+)")


def test_images_without_labels_are_named_and_other_files_need_none(folder: Path) -> None:
    labels = folder / "labels"
    labels.mkdir()
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(labels / "a.png")
    with pytest.raises(EvaluationError, match=r"labels missing for 2 images \(b.png, cut.png\)"):
        labels_beside(labels, files_of(folder))
    files = [folder / "a.png", folder / "notes.txt"]
    assert labels_beside(labels, files)[folder / "a.png"] == labels / "a.png"


def test_labels_keep_all_sixteen_bits_and_must_have_the_images_size(folder: Path) -> None:
    labels = folder / "labels.png"
    Image.fromarray(np.full((40, 40), 65_535, np.uint16)).save(labels)
    assert decode_labelled(folder / "a.png", labels).labels.max() == 65_535
    with pytest.raises(
        EvaluationError, match=r"labels.png: an array \(40, 40\), beside b.png of 41 rows and 50 columns"
    ):
        decode_labelled(folder / "b.png", labels)
    Image.fromarray(tissue(40, 40)).save(labels)
    with pytest.raises(EvaluationError, match="one channel"):
        decode_labelled(folder / "a.png", labels)
    labels.write_text("none", encoding="utf-8")
    with pytest.raises(UnreadableImage, match=r"labels\.png"):
        decode_labelled(folder / "a.png", labels)
