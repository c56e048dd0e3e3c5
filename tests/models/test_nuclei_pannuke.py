from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data_nuclei import read_nuclei
from models.errors import TrainingError
from models.nuclei_examples import Request
from models.nuclei_pannuke import list_pannuke, open_fold
from models.slide_reader import open_tiff
from models.train_config import SourceConfig
from tests.models.examples import tissue
from tests.models.nuclei_drawings import discs

TISSUES = np.array(["Breast", "Colon", "Breast"])


def masks() -> NDArray[np.float64]:
    """(1, 60, 80, 6): discs shared out over the five kinds, whose numbers begin anew in each; background last."""
    kinds = np.zeros((1, 60, 80, 6))
    for place, value in enumerate(np.unique(discs())[1:]):
        kinds[0, ..., place % 5][discs() == value] = place // 5 + 1
    kinds[0, ..., 5] = discs() == 0
    return kinds


def write_fold(folder: Path, number: int, dtype: type = np.float64) -> Path:
    """Write a fold of three patches as its archive has it; return where its images lie."""
    images = folder / f"Fold {number}/images/fold{number}"
    truth = folder / f"Fold {number}/masks/fold{number}"
    images.mkdir(parents=True)
    truth.mkdir(parents=True)
    np.save(images / "images.npy", np.stack([tissue(60, 80)] * 3).astype(dtype))
    np.save(images / "types.npy", TISSUES)
    np.save(truth / "masks.npy", np.repeat(masks(), 3, axis=0))
    return images


def source(**changes: object) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind="pannuke", path=".", **changes)  # type: ignore[arg-type]


def request(path: Path) -> Request:
    return Request(source(), path, 0.25, open_tiff)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_nuclei_of_all_kinds_are_instances_of_one_patch(tmp_path: Path, dtype: type) -> None:
    write_fold(tmp_path, 1, dtype)
    examples = list_pannuke(request(tmp_path))
    one = examples[1].read()
    assert (examples[1].name, examples[1].group, examples[1].mpp) == ("fold1 1", "fold1/Colon", 0.25)
    assert one.image.dtype == np.uint8
    assert np.array_equal(one.image, tissue(60, 80))
    pairs = np.unique(np.stack([one.labels[discs() > 0], discs()[discs() > 0]]), axis=1)
    assert np.array_equal(one.labels > 0, discs() > 0)
    assert pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == 9


def test_where_kinds_overlap_the_first_one_counts(tmp_path: Path) -> None:
    images = write_fold(tmp_path, 1)
    path = tmp_path / "Fold 1/masks/fold1/masks.npy"
    array = np.zeros((3, 60, 80, 6))
    array[:, 10:30, 10:30, 1] = 7
    array[:, 20:40, 20:40, 3] = 7
    np.save(path, array)
    labels = open_fold(images / "images.npy").read(0).labels
    assert (labels[10:30, 10:30] == labels[15, 15]).all()
    assert len(np.unique(labels)) == 3


def test_the_files_stay_mapped(tmp_path: Path) -> None:
    fold = open_fold(write_fold(tmp_path, 1) / "images.npy")
    assert isinstance(fold.images, np.memmap)
    assert isinstance(fold.masks, np.memmap)
    assert all(example.mapped for example in list_pannuke(request(tmp_path)))


@pytest.mark.parametrize(
    ("pattern", "test", "sizes"),
    [(r"(fold\d)", "fold2", (3, 3)), (".*/(.+)", "Colon", (4, 2)), ("(.+)", "fold1/Colon", (5, 1))],
)
def test_a_split_is_by_fold_or_by_tissue(tmp_path: Path, pattern: str, test: str, sizes: tuple[int, int]) -> None:
    write_fold(tmp_path, 1)
    write_fold(tmp_path, 2)
    nuclei = read_nuclei(source(patient=pattern, test=(test,)), tmp_path, seed=0, mpp=0.25)
    assert (len(nuclei.train), len(nuclei.test)) == sizes


def test_a_fold_may_lie_in_one_folder(tmp_path: Path) -> None:
    images = write_fold(tmp_path, 1)
    (tmp_path / "Fold 1/masks/fold1/masks.npy").rename(images / "masks.npy")
    assert len(list_pannuke(request(images))) == 3


def test_images_from_0_to_1_are_refused(tmp_path: Path) -> None:
    images = write_fold(tmp_path, 1)
    np.save(images / "images.npy", np.stack([tissue(60, 80)] * 3) / 255)
    with pytest.raises(TrainingError, match=r"images\.npy, patch 0: values 0\.?\d* to .*, where 0 to 255 are wanted"):
        list_pannuke(request(tmp_path))


def test_masks_with_fractions_are_named_with_the_patch(tmp_path: Path) -> None:
    write_fold(tmp_path, 1)
    np.save(tmp_path / "Fold 1/masks/fold1/masks.npy", np.repeat(masks(), 3, axis=0) / 2)
    with pytest.raises(TrainingError, match=r"masks\.npy, patch 0: labels with fractions"):
        list_pannuke(request(tmp_path))


def test_arrays_that_do_not_fit_each_other_are_named(tmp_path: Path) -> None:
    images = write_fold(tmp_path, 1)
    np.save(images / "types.npy", TISSUES[:2])
    with pytest.raises(TrainingError, match=r"types\.npy: no names of 3 tissues"):
        list_pannuke(request(tmp_path))
    np.save(tmp_path / "Fold 1/masks/fold1/masks.npy", masks())
    with pytest.raises(
        TrainingError, match=r"fold1: arrays that do not fit each other: images \(3, 60, 80, 3\), masks"
    ):
        list_pannuke(request(tmp_path))


def test_pickled_and_missing_arrays_are_named(tmp_path: Path) -> None:
    images = write_fold(tmp_path, 1)
    np.save(images / "types.npy", TISSUES.astype(object))
    with pytest.raises(TrainingError, match=r"types\.npy: no readable array"):
        list_pannuke(request(tmp_path))
    (tmp_path / "Fold 1/masks/fold1/masks.npy").unlink()
    with pytest.raises(TrainingError, match=r"fold1/masks\.npy: no readable array"):
        list_pannuke(request(tmp_path))
    with pytest.raises(TrainingError, match=r"no images\.npy in it"):
        list_pannuke(request(tmp_path / "Fold 1/masks"))
