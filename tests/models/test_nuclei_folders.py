from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.errors import TrainingError
from models.nuclei_examples import Request
from models.nuclei_folders import list_instances, list_masks
from models.slide_reader import open_tiff
from models.train_config import SourceConfig
from tests.models.examples import tissue
from tests.models.nuclei_drawings import discs


def request(path: Path) -> Request:
    return Request(SourceConfig(name="set", licence="none", kind="instances", path="."), path, 0.25, open_tiff)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image with its masks and, as a TIFF of 32 bits, its instances."""
    for name in ("images", "labels", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(tissue(60, 80)).save(tmp_path / "images/a.png")
    tifffile.imwrite(tmp_path / "labels/a.tif", discs().astype(np.uint32))
    Image.fromarray((discs() > 0).astype(np.uint8) * 255).save(tmp_path / "masks/a.png")
    return tmp_path


def test_instances_lie_in_labels(folder: Path) -> None:
    (example,) = list_instances(request(folder))
    one = example.read()
    assert (example.name, example.group, one.name, one.instances) == ("a", "a", "a", True)
    assert np.array_equal(one.image, tissue(60, 80))
    assert np.array_equal(one.labels, discs())


def test_masks_are_one_wherever_there_is_a_nucleus(folder: Path) -> None:
    (example,) = list_masks(request(folder))
    one = example.read()
    assert not one.instances
    assert np.array_equal(one.labels, discs() > 0)


def test_masks_given_as_instances_are_refused_with_the_way_out(folder: Path) -> None:
    (folder / "labels/a.tif").unlink()
    (folder / "masks/a.png").rename(folder / "labels/a.png")
    with pytest.raises(TrainingError, match=r'labels/a\.png: .* masks or classes.*\n.*kind = "masks"'):
        list_instances(request(folder))[0].read()


def test_a_folder_without_images_or_without_labels_is_refused(folder: Path) -> None:
    with pytest.raises(TrainingError, match="holds no images"):
        list_instances(request(folder / "labels"))
    (folder / "labels/a.tif").unlink()
    with pytest.raises(TrainingError, match=r"labels/a\.png: missing beside .*images/a\.png"):
        list_instances(request(folder))
