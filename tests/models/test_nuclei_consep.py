from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from models.errors import TrainingError
from models.nuclei_consep import list_consep
from models.nuclei_examples import Request
from models.slide_reader import open_tiff
from models.train_config import SourceConfig
from tests.models.examples import tissue
from tests.models.nuclei_drawings import discs


def request(path: Path) -> Request:
    return Request(SourceConfig(name="set", licence="none", kind="consep", path="."), path, 0.25, open_tiff)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """CoNSeP, small: as published, PNGs have four channels and the maps are float64 beside other variables."""
    for part in ("Train", "Test"):
        for name in ("Images", "Labels"):
            (tmp_path / part / name).mkdir(parents=True)
        stem = f"{part.lower()}_1"
        Image.fromarray(tissue(60, 80)).convert("RGBA").save(tmp_path / part / "Images" / f"{stem}.png")
        variables = {
            "inst_map": discs().astype(np.float64),
            "type_map": np.ones((60, 80)),
            "inst_type": np.ones((9, 1)),
        }
        savemat(tmp_path / part / "Labels" / f"{stem}.mat", variables)
    return tmp_path


def test_both_parts_are_read_where_both_are_there(folder: Path) -> None:
    assert [example.group for example in list_consep(request(folder))] == ["test_1", "train_1"]
    (example,) = list_consep(request(folder / "Train"))
    one = example.read()
    assert np.array_equal(one.image, tissue(60, 80))
    assert np.array_equal(one.labels, discs())
    assert one.instances


def test_a_tile_without_labels_is_named(folder: Path) -> None:
    (folder / "Test/Labels/test_1.mat").unlink()
    with pytest.raises(TrainingError, match=r"Test/Labels/test_1\.mat: missing beside"):
        list_consep(request(folder))
    with pytest.raises(TrainingError, match=r"holds no Images/\*\.png"):
        list_consep(request(folder / "Test/Labels"))


@pytest.mark.parametrize(
    "content", [b"", b"none", b"MATLAB 7.3 MAT-file, of HDF5".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n" * 9]
)
def test_what_is_no_matlab_file_is_named(folder: Path, content: bytes) -> None:
    path = folder / "Train/Labels/train_1.mat"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"train_1\.mat: no readable MATLAB file") as error:
        list_consep(request(folder / "Train"))[0].read()
    assert str(error.value).count("\n") == 1


def test_a_file_without_instances_or_with_another_size_is_named(folder: Path) -> None:
    path = folder / "Train/Labels/train_1.mat"
    savemat(path, {"type_map": discs()})
    with pytest.raises(TrainingError, match=r"train_1\.mat: no readable MATLAB file with an inst_map"):
        list_consep(request(folder / "Train"))[0].read()
    savemat(path, {"inst_map": discs()[:30].astype(np.float64)})
    with pytest.raises(TrainingError, match=r"train_1\.mat: an array \(30, 80\), beside train_1\.png of 60 rows"):
        list_consep(request(folder / "Train"))[0].read()
    savemat(path, {"inst_map": discs() / 2})
    with pytest.raises(TrainingError, match=r"train_1\.mat: labels with fractions"):
        list_consep(request(folder / "Train"))[0].read()
