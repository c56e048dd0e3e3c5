from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.coarse_scan import enlarger_of
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


def source(kind: str = "instances", **changes: Any) -> SourceConfig:
    return SourceConfig(name="set", licence="none", kind=kind, path=".", test=("c",), **changes)


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


def test_a_coarser_network_has_a_narrower_contour() -> None:
    labels = np.zeros((20, 20), dtype=np.int32)
    labels[4:16, 4:16] = 3
    classes = three_classes(labels, contour_px=1)
    assert (classes[5:15, 5:15] == INTERIOR).all()
    assert (classes == CONTOUR).sum() == 12**2 - 10**2


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
    image, classes, _ = draw_nuclei([nuclei], 30, STILL, np.random.default_rng(0))
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


def test_images_are_brought_to_the_networks_resolution(tmp_path: Path) -> None:
    write_set(tmp_path)
    nuclei = read_nuclei(source(mpp=0.25), tmp_path, seed=0, mpp=0.5)
    assert nuclei.train[0].image.shape == (15, 20, 3)
    assert nuclei.train[0].labels.shape == (15, 20)
    assert read_nuclei(source(mpp=0.25), tmp_path, seed=0, mpp=0.25).train[0].image.shape == (30, 40, 3)


def test_images_of_coarse_scans_are_enlarged_as_a_run_would_show_them(tmp_path: Path) -> None:
    write_set(tmp_path)
    shown = read_nuclei(source(mpp=0.5, enlarge="bicubic-x2"), tmp_path, seed=0, mpp=0.25).train[0]
    raw = np.asarray(Image.open(tmp_path / "images/a.png"))
    assert np.array_equal(shown.image, enlarger_of("bicubic-x2").enlarge(raw))
    assert np.array_equal(shown.labels, two_neighbours().repeat(2, axis=0).repeat(2, axis=1))
    fine = read_nuclei(source(mpp=0.25, enlarge="bicubic-x2"), tmp_path, seed=0, mpp=0.25).train[0]
    assert np.array_equal(fine.image, raw), "what is fine enough is not enlarged"


def test_what_enlarges_nothing_is_refused_with_the_sources_name(tmp_path: Path) -> None:
    write_set(tmp_path)
    with pytest.raises(TrainingError, match=r"^set: enlarge: .*nuclei-unet"):
        read_nuclei(source(mpp=0.5, enlarge="nuclei-unet"), tmp_path, seed=0, mpp=0.25)


def test_images_of_a_resolution_that_nobody_states_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_set(tmp_path)
    with caplog.at_level(logging.WARNING):
        read_nuclei(source(mpp=0.25), tmp_path, seed=0, mpp=0.25)
        assert caplog.text == ""
        read_nuclei(source(), tmp_path, seed=0, mpp=0.25)
    assert "set: nobody says how many um a px of 3 of 3 images spans; taken for 0.25" in caplog.text


def test_an_implausible_resolution_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "images/a.png").write_text("none")
    with pytest.raises(TrainingError, match=r"^a: 0\.00499 um per px is implausible"):
        read_nuclei(source(mpp=0.00499), tmp_path, seed=0, mpp=0.25)


def test_images_that_exceed_the_memory_are_read_again_and_are_the_same(tmp_path: Path) -> None:
    write_set(tmp_path)
    nuclei = read_nuclei(source(cache_mib=0), tmp_path, seed=0)
    assert nuclei.train[0] is not nuclei.train[0]
    assert np.array_equal(nuclei.train[1].labels, two_neighbours())
    held = read_nuclei(source(), tmp_path, seed=0).train
    assert held[0] is held[0]


def test_an_image_too_small_for_the_crops_is_named(tmp_path: Path) -> None:
    write_set(tmp_path)
    nuclei = read_nuclei(source(), tmp_path, seed=0)
    with pytest.raises(TrainingError, match=r"^[ab]: 30 px, too few for crops of 64 px at a scale of 1\.25"):
        draw_nuclei([nuclei], 64, NucleiAugmentation(), np.random.default_rng(0))


def test_labels_that_do_not_fit_are_found_before_a_training_starts(tmp_path: Path) -> None:
    write_set(tmp_path)
    Image.fromarray(np.zeros((30, 41), np.uint16)).save(tmp_path / "labels/c.png")
    with pytest.raises(TrainingError, match=r"labels/c\.png: an array \(30, 41\), beside c\.png of 30 rows"):
        read_nuclei(source(), tmp_path, seed=0)
