from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import data_patches
from models.data_patches import draw_patch, read_patches, split_patches
from models.errors import TrainingError
from tests.models.examples import tissue
from tests.models.patches_made import source_of, write_image

CLASSES = ("benign", "tumour")
IDC = source_of("sheets", path="patches/idc")
BREAKHIS = source_of("files", path="patches/breakhis", patient=r"(\d+)")


def write_files(folder: Path, labels: tuple[str, ...] = ("benign", "tumour", "0", "1"), corners: str = "") -> None:
    """Patches whose px are their number, two of each patient."""
    rows = ["file,patient,label,x,y" if corners else "file,patient,label"]
    for place, label in enumerate(labels):
        write_image(folder / f"{place}.png", place)
        rows.append(f"{place}.png,patient{place // 2},{label}{corners}")
    (folder / "index.csv").write_text("\n".join(rows))


def test_patches_have_the_order_of_the_index(tmp_path: Path) -> None:
    write_files(tmp_path)
    patches = read_patches(source_of(), tmp_path, CLASSES, 32)
    assert patches.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert patches.labels.tolist() == [0, 1, 0, 1]
    assert patches.corners_px is None
    assert patches.of(["patient1"]).pixels[:, 0, 0, 0].tolist() == [2, 3]


def test_places_on_the_slide_go_with_their_patches(tmp_path: Path) -> None:
    write_files(tmp_path, corners=",51,101")
    patches = read_patches(source_of(), tmp_path, CLASSES, 32).of(["patient1"])
    assert patches.corners_px is not None
    assert patches.corners_px.tolist() == [[101, 51], [101, 51]]


def test_patches_of_another_size_are_brought_to_the_field(tmp_path: Path) -> None:
    write_files(tmp_path)
    assert read_patches(source_of(), tmp_path, CLASSES, 64).pixels.shape == (4, 64, 64, 3)


def test_patches_of_another_resolution_are_brought_to_the_networks(tmp_path: Path) -> None:
    write_files(tmp_path)
    image = tissue(64, 64)
    Image.fromarray(image).save(tmp_path / "0.png")
    for place in range(1, 4):
        write_image(tmp_path / f"{place}.png", 0, 64, 64)
    coarser = read_patches(source_of(mpp=2.0), tmp_path, CLASSES, 32, mpp=4.0).pixels[0]
    same = read_patches(source_of(mpp=4.0), tmp_path, CLASSES, 32, mpp=4.0).pixels[0]
    assert np.array_equal(same, image[16:48, 16:48])
    assert np.array_equal(coarser, np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)))


def test_a_resolution_that_nobody_states_is_said_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_files(tmp_path)
    with caplog.at_level(logging.WARNING):
        read_patches(source_of(), tmp_path, CLASSES, 32, mpp=4.0)
    assert "nobody says how many um a px of 4 of 4 patches spans" in caplog.text


def test_a_patient_a_patch_is_said_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, place in (("benign", 0), ("benign", 1), ("tumour", 2), ("tumour", 3)):
        write_image(tmp_path / f"{name}/{place}.png")
    with caplog.at_level(logging.WARNING):
        read_patches(source_of("folders"), tmp_path, CLASSES, 32)
    assert "every one of 4 patches is of another patient" in caplog.text


def test_a_class_without_patches_and_one_of_one_patient_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, ("0",) * 4)
    with pytest.raises(TrainingError, match="no patches of class tumour"):
        read_patches(source_of(), tmp_path, CLASSES, 32)
    write_files(tmp_path, ("0", "0", "1", "1", "0", "0"))
    with pytest.raises(TrainingError, match=r"all 2 patches of class tumour are of one patient \(patient1\)"):
        read_patches(source_of(), tmp_path, CLASSES, 32)


def test_more_than_memory_should_hold_is_refused_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.setattr(data_patches, "MOST_BYTES", 4 * 32**2 * 3)
    assert len(read_patches(source_of(), tmp_path, CLASSES, 32).labels) == 4
    with pytest.raises(TrainingError, match=r"4 patches of 33 px a side are .* GiB.*\n.* field_px of 32 or less"):
        read_patches(source_of(), tmp_path, CLASSES, 33)


def test_an_unknown_label_and_a_narrow_patch_are_named(tmp_path: Path) -> None:
    write_files(tmp_path, ("benign", "cat"))
    with pytest.raises(TrainingError, match=r"1\.png: label 'cat' is none of"):
        read_patches(source_of(), tmp_path, CLASSES, 32)
    write_files(tmp_path)
    write_image(tmp_path / "2.png", width=31)
    with pytest.raises(TrainingError, match=r"2\.png: 31 x 32 px, where patches have 32"):
        read_patches(source_of(), tmp_path, CLASSES, 32)


def test_a_split_keeps_a_patients_patches_together(tmp_path: Path) -> None:
    write_files(tmp_path, ("0", "1") * 10)
    config = source_of(test_share=0.3, validation_share=0.2)
    patches = read_patches(config, tmp_path, CLASSES, 32)
    split = split_patches(patches, config, seed=1)
    parts = [patches.of(part) for part in (split.train, split.validation, split.test)]
    assert [len(part.labels) for part in parts] == [10, 4, 6]
    assert sorted(np.concatenate([part.pixels[:, 0, 0, 0] for part in parts])) == list(range(20))


def test_rare_classes_are_drawn_as_often_as_common_ones(tmp_path: Path) -> None:
    write_files(tmp_path, ("0",) * 6 + ("1", "0", "1", "0"))
    patches = read_patches(source_of(), tmp_path, CLASSES, 32)
    by_class = [np.flatnonzero(patches.labels == label) for label in (0, 1)]
    rng = np.random.default_rng(0)
    drawn = [draw_patch(patches, by_class, 0.0, rng) for _ in range(400)]
    assert np.mean([label for _, label in drawn]) == pytest.approx(0.5, abs=0.08)
    assert all((image.mean() in (6, 8)) == (label == 1) for image, label in drawn)


@pytest.mark.slides
def test_the_real_sheets_are_cut_at_their_own_px(data: Path) -> None:
    patches = read_patches(IDC, data, ("non-IDC", "IDC"), 50, mpp=4.0)
    rows = list(csv.DictReader((data / "patches/idc/index.csv").read_text().splitlines()))
    assert patches.pixels.shape == (7510, 50, 50, 3)
    assert np.bincount(patches.labels).tolist() == [5442, 2068]
    assert len(set(patches.patients.tolist())) == 206
    assert patches.corners_px is not None
    place = 5000
    row = {key: int(value) for key, value in rows[place].items()}
    assert patches.corners_px[place].tolist() == [row["y"], row["x"]]
    with Image.open(data / f"patches/idc/sheet_{row['sheet']:02d}.webp") as sheet:
        top, left = 50 * row["row"], 50 * row["column"]
        assert np.array_equal(patches.pixels[place], np.asarray(sheet)[top : top + 50, left : left + 50])


@pytest.mark.slides
def test_real_patients_are_grouped_by_the_number_of_their_slide(data: Path) -> None:
    patches = read_patches(BREAKHIS, data, ("benign", "malignant"), 56)
    assert patches.pixels.shape == (592, 56, 56, 3)
    assert len(set(patches.patients.tolist())) == 31  # 33 slides, of which two pairs differ by their letters


@pytest.mark.slides
def test_real_patches_that_are_neighbours_by_their_places_continue_each_other(data: Path) -> None:
    patches = read_patches(IDC, data, ("non-IDC", "IDC"), 50)
    assert patches.corners_px is not None
    corners = zip(patches.patients.tolist(), *patches.corners_px.T.tolist(), strict=True)
    at = {corner: pixels.astype(int) for corner, pixels in zip(corners, patches.pixels, strict=True)}
    pairs = [(one, at[patient, y, x + 50]) for (patient, y, x), one in at.items() if (patient, y, x + 50) in at]
    beside = np.mean([np.abs(left[:, -1] - right[:, 0]).mean() for left, right in pairs])
    below = np.mean([np.abs(left[-1] - right[0]).mean() for left, right in pairs])
    assert len(pairs) > 300
    assert beside < 0.6 * below
