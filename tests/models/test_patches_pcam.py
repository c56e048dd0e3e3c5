from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from models.data import patient_of
from models.errors import TrainingError
from models.patches_examples import PatchRequest
from models.patches_pcam import list_pcam, open_array
from tests.models.patches_made import request_of

OFFICIAL = {"validation": ("valid",), "test": ("test",)}


def asked(path: Path, **source: object) -> PatchRequest:
    return request_of(path, ("normal", "metastasis"), 96, **source)  # type: ignore[arg-type]


def write_split(folder: Path, split: str, slides: list[str] | None = None, count: int = 3) -> None:
    """Patches whose px are their number, labelled 0, 1, 0, ..."""
    h5py = pytest.importorskip("h5py", reason="HDF5: pip install 'histoloom[hdf5]'")
    stem = folder / f"camelyonpatch_level_2_split_{split}"
    with h5py.File(f"{stem}_x.h5", "w") as file:
        file["x"] = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(96, 1).repeat(96, 2).repeat(3, 3)
    with h5py.File(f"{stem}_y.h5", "w") as file:
        file["y"] = (np.arange(count, dtype=np.uint8) % 2).reshape(-1, 1, 1, 1)
    if slides is not None:
        rows = [f"{place},{100 * place},{7 * place},False,False,{slide}" for place, slide in enumerate(slides)]
        header = ",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi"
        Path(f"{stem}_meta.csv").write_text("\n".join([header, *rows]))


def test_patches_have_the_slide_that_the_meta_file_names(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["s1", "s1", "s2"])
    patches = list_pcam(asked(tmp_path))
    assert [one.group for one in patches] == ["train/s1", "train/s1", "train/s2"]
    assert [one.labels for one in patches] == [("0",), ("1",), ("0",)]
    assert [one.corner_px for one in patches] == [(0, 0), (100, 7), (200, 14)]
    assert [np.unique(one.read()).tolist() for one in patches] == [[0], [1], [2]]
    assert {one.mpp for one in patches} == {0.972}


def test_without_a_meta_file_only_the_authors_split_is_taken(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write_split(tmp_path, split)
    with pytest.raises(TrainingError, match=r"train_meta\.csv: not there, .*\n.*validation = \[\"valid\"\]"):
        list_pcam(asked(tmp_path))
    with pytest.raises(TrainingError, match=r"train_meta\.csv: not there"):
        list_pcam(asked(tmp_path, **OFFICIAL, validation_share=0.1))
    patches = list_pcam(asked(tmp_path, **OFFICIAL))
    assert {patient_of(one.group, "(.+)") for one in patches} == {"train", "valid", "test"}


def test_the_authors_split_can_be_kept_with_a_meta_file_too(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["s1", "s2", "s3"])
    assert {patient_of(one.group, "(train|valid|test)") for one in list_pcam(asked(tmp_path))} == {"train"}


def test_a_slide_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["s1", "s1", "s2"])
    write_split(tmp_path, "test", ["s2", "s3", "s3"])
    with pytest.raises(TrainingError, match=r"test and train share 1 patients \(s2\)"):
        list_pcam(asked(tmp_path))


def test_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["s1", "s2"])
    with pytest.raises(TrainingError, match=r"train_meta\.csv: 2 rows for 3 patches"):
        list_pcam(asked(tmp_path))
    write_split(tmp_path, "valid", count=2)
    (tmp_path / "camelyonpatch_level_2_split_valid_y.h5").rename(tmp_path / "camelyonpatch_level_2_split_train_y.h5")
    with pytest.raises(TrainingError, match=r"train_x\.h5: an array \(3, 96, 96, 3\) of uint8 beside 2 labels"):
        list_pcam(asked(tmp_path))


def test_a_file_that_is_no_hdf5_or_lacks_the_array_is_named(tmp_path: Path) -> None:
    write_split(tmp_path, "train")
    path = tmp_path / "camelyonpatch_level_2_split_train_x.h5"
    with pytest.raises(TrainingError, match=r"train_x\.h5: no readable HDF5 file with an array 'y'"):
        open_array(path, "y")
    path.write_text("still packed")
    with pytest.raises(TrainingError, match=r"train_x\.h5: no readable HDF5 file with an array 'x'"):
        open_array(path, "x")


def test_files_that_are_still_packed_are_asked_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "camelyonpatch_level_2_split_train_x.h5.gz").touch()
    with pytest.raises(TrainingError, match=r"no camelyonpatch_level_2_split_train_x\.h5 in it, .*\nUnpack"):
        list_pcam(asked(tmp_path))


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "camelyonpatch_level_2_split_train_x.h5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TrainingError, match=r"train_x\.h5: HDF5, which needs h5py.*\n.*histoloom\[hdf5\]"):
        list_pcam(asked(tmp_path))
