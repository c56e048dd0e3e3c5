from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from models.errors import TrainingError
from models.nuclei_labels import as_labels, labels_of, read_instances
from tests.models.nuclei_drawings import discs, renumbered


def test_every_format_gives_the_same_labels(tmp_path: Path) -> None:
    labels = discs() * 2_000
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(np.uint32))
    tifffile.imwrite(tmp_path / "float.tiff", labels.astype(np.float32))
    np.save(tmp_path / "a.npy", labels.astype(np.int64))
    for path in sorted(tmp_path.iterdir()):
        found = read_instances(path)
        assert found.dtype == np.int32
        assert np.array_equal(found, labels), path


def test_more_nuclei_than_sixteen_bits_can_number_are_kept_apart(tmp_path: Path) -> None:
    labels = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    assert np.array_equal(read_instances(tmp_path / "a.tif"), labels)


def test_numbers_beyond_31_bits_are_given_anew_and_nuclei_stay_apart() -> None:
    labels = np.where(discs() > 0, 2**40 + discs().astype(np.int64), 0)
    assert np.array_equal(as_labels(labels, "a"), renumbered(discs()))


@given(arrays(np.uint64, (6, 7), elements=st.integers(0, 2**64 - 1)))
def test_whatever_the_numbers_the_partition_stays(array: NDArray[np.uint64]) -> None:
    labels = as_labels(array, "a")
    assert np.array_equal(labels == 0, array == 0)
    assert np.array_equal(renumbered(labels), renumbered(array))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (discs() / 65_535, "labels with fractions"),
        (np.full((4, 4), np.nan), "labels with fractions"),
        (-discs(), "a label of -26"),
        (np.full((4, 4), "a"), "labels of type <U1 are no numbers"),
    ],
)
def test_what_numbers_no_nuclei_is_refused(array: NDArray[np.generic], fault: str) -> None:
    with pytest.raises(TrainingError, match=f"^b.npy: {fault}") as error:
        as_labels(array, "b.npy")
    assert str(error.value).count("\n") == 1


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(TrainingError, match=r"a\.npy: no readable labels"):
        read_instances(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_what_is_no_label_image_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("none")
    with pytest.raises(TrainingError, match=f"{name}: no readable labels"):
        read_instances(tmp_path / name)


def test_labels_are_found_by_stem_whatever_their_format(tmp_path: Path) -> None:
    image = Path("images/a.jpg")
    with pytest.raises(TrainingError, match=r"a\.png: missing beside images/a\.jpg"):
        labels_of(tmp_path, image)
    for name in ("a.npy", "a.tif", "a.png"):
        (tmp_path / name).touch()
        assert labels_of(tmp_path, image).name == name
