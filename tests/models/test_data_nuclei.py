from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data_nuclei import (
    BACKGROUND,
    CONTOUR,
    INTERIOR,
    NucleiAugmentation,
    draw_nuclei,
    read_nuclei,
    three_classes,
)
from models.errors import TrainingError
from models.losses import NUCLEUS
from models.train_config import SourceConfig
from tests.models.examples import tissue

STILL = NucleiAugmentation(least_scale=1.0, largest_scale=1.0, stain=0.0, soften_share=0.0)


def two_neighbours() -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Two instances (30, 40) with one px of background between them."""
    labels = np.zeros((30, 40), dtype=np.int32)
    labels[5:20, 5:18] = 7
    labels[5:20, 19:33] = 900
    return labels


def write_set(folder: Path, truth: str = "labels") -> None:
    (folder / "images").mkdir()
    (folder / truth).mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(tissue(30, 40)).save(folder / "images" / f"{name}.png")
        Image.fromarray(two_neighbours().astype(np.uint16)).save(folder / truth / f"{name}.png")


def source(kind: str = "instances") -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind=kind, path=".", test=("c",))


def test_contour_is_the_outer_two_px_of_every_instance() -> None:
    labels = np.zeros((20, 20), dtype=np.int32)
    labels[4:16, 4:16] = 3
    wanted = np.zeros((20, 20), dtype=np.uint8)
    wanted[4:16, 4:16] = CONTOUR
    wanted[6:14, 6:14] = INTERIOR
    assert np.array_equal(three_classes(labels), wanted)


def test_the_seam_between_two_nuclei_is_contour_though_it_is_background() -> None:
    classes = three_classes(two_neighbours())
    assert (classes[8:17, 18] == CONTOUR).all()
    assert (classes[:3] == BACKGROUND).all()


def test_touching_nuclei_are_parted_by_four_px_of_contour() -> None:
    labels = np.ones((20, 20), dtype=np.int32)
    labels[:, 10:] = 2
    assert three_classes(labels)[10].tolist() == [INTERIOR] * 8 + [CONTOUR] * 4 + [INTERIOR] * 8


def test_masks_say_nucleus_and_no_more() -> None:
    assert set(np.unique(three_classes(two_neighbours(), instances=False))) == {BACKGROUND, NUCLEUS}


def test_a_source_is_read_in_parts_by_patient(tmp_path: Path) -> None:
    write_set(tmp_path)
    nuclei = read_nuclei(source(), tmp_path, seed=0)
    assert [one.name for one in nuclei.train] == ["a", "b"]
    assert [one.name for one in nuclei.test] == ["c"]
    assert np.array_equal(nuclei.test[0].labels, two_neighbours())


def test_a_missing_label_image_is_named(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "labels/b.png").unlink()
    with pytest.raises(TrainingError, match=r"labels/b\.png"):
        read_nuclei(source(), tmp_path, seed=0)
    with pytest.raises(TrainingError, match="no kind"):
        read_nuclei(source("polygons"), tmp_path, seed=0)


def test_an_unaugmented_crop_is_a_crop_with_its_classes(tmp_path: Path) -> None:
    write_set(tmp_path)
    nuclei = read_nuclei(source(), tmp_path, seed=0)
    image, classes = draw_nuclei([nuclei], 30, STILL, np.random.default_rng(0))
    assert image.shape == (30, 30, 3)
    assert image.dtype == classes.dtype == np.uint8
    assert {BACKGROUND, INTERIOR, CONTOUR} == set(np.unique(classes))


def test_a_crop_follows_from_its_seed(tmp_path: Path) -> None:
    write_set(tmp_path, truth="masks")
    nuclei = read_nuclei(source("masks"), tmp_path, seed=0)
    draws = [draw_nuclei([nuclei], 24, NucleiAugmentation(), np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert np.array_equal(draws[0][0], draws[1][0])
    assert not np.array_equal(draws[0][0], draws[2][0])
    assert set(np.unique(draws[0][1])) <= {BACKGROUND, NUCLEUS}
