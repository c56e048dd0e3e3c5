from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data_patches import draw_patch, read_patches, split_patches
from models.errors import TrainingError
from models.train_config import SourceConfig

CLASSES = ("benign", "tumour")


def source(kind: str, **changes: object) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind=kind, path=".", **changes)  # type: ignore[arg-type]


def write_files(folder: Path, labels: tuple[str, ...] = ("benign", "tumour", "0", "1")) -> None:
    rows = ["file,patient,label"]
    for place, label in enumerate(labels):
        Image.fromarray(np.full((8, 8, 3), place, np.uint8)).save(folder / f"{place}.png")
        rows.append(f"{place}.png,patient{place // 2},{label}")
    (folder / "index.csv").write_text("\n".join(rows))


def test_files_are_read_in_the_order_of_the_index(tmp_path: Path) -> None:
    write_files(tmp_path)
    patches = read_patches(source("files"), tmp_path, CLASSES, 8)
    assert patches.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert patches.labels.tolist() == [0, 1, 0, 1]
    assert patches.of(["patient1"]).pixels[:, 0, 0, 0].tolist() == [2, 3]


def test_sheets_are_cut_into_their_patches(tmp_path: Path) -> None:
    sheet = np.zeros((12, 18, 3), np.uint8)
    sheet[6:, 12:] = 200
    Image.fromarray(sheet).save(tmp_path / "sheet_00.webp", lossless=True)
    (tmp_path / "index.csv").write_text("sheet,row,column,patient,x,y,label\n0,1,2,10,0,0,1\n0,0,0,11,0,0,0\n")
    patches = read_patches(source("sheets"), tmp_path, CLASSES, 6)
    assert (patches.pixels[0] == 200).all()
    assert (patches.pixels[1] == 0).all()
    assert patches.patients.tolist() == ["10", "11"]


def test_an_unknown_label_and_a_wrong_size_are_named(tmp_path: Path) -> None:
    write_files(tmp_path, ("benign", "cat"))
    with pytest.raises(TrainingError, match="'cat'"):
        read_patches(source("files"), tmp_path, CLASSES, 8)
    write_files(tmp_path)
    with pytest.raises(TrainingError, match="8 x 8 px where 9 x 9"):
        read_patches(source("files"), tmp_path, CLASSES, 9)


def test_a_split_keeps_a_patients_patches_together(tmp_path: Path) -> None:
    write_files(tmp_path, ("0", "1") * 10)
    config = source("files", test_share=0.3, validation_share=0.2)
    patches = read_patches(config, tmp_path, CLASSES, 8)
    split = split_patches(patches, config, seed=1)
    parts = [patches.of(part) for part in (split.train, split.validation, split.test)]
    assert [len(part.labels) for part in parts] == [10, 4, 6]
    assert sorted(np.concatenate([part.pixels[:, 0, 0, 0] for part in parts])) == list(range(20))


def test_rare_classes_are_drawn_as_often_as_common_ones(tmp_path: Path) -> None:
    write_files(tmp_path, ("0",) * 9 + ("1",))
    patches = read_patches(source("files"), tmp_path, CLASSES, 8)
    by_class = [np.flatnonzero(patches.labels == label) for label in (0, 1)]
    rng = np.random.default_rng(0)
    drawn = [draw_patch(patches, by_class, 0.0, rng) for _ in range(400)]
    assert np.mean([label for _, label in drawn]) == pytest.approx(0.5, abs=0.08)
    assert all((image.mean() > 8) == (label == 1) for image, label in drawn)
