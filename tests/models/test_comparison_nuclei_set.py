"""A test set is read as training reads it: any format of labels, and what is no instances is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.comparison_nuclei_config import Kind, TestSet
from models.comparison_nuclei_set import HeldOut, list_images
from models.errors import EvaluationError, TrainingError
from tests.models.examples import tissue
from tests.models.test_instances import discs


def held_out(root: Path, kind: Kind = "instances") -> HeldOut:
    """Return the one image of a set, 80 x 100 px, whose labels are there."""
    (root / "images").mkdir(exist_ok=True)
    Image.fromarray(tissue(80, 100)).save(root / "images/a.png")
    (one,) = list_images(TestSet(name="set", path=".", kind=kind, mpp=0.25, test=("a",)), root)
    return one


def numbered(labels: Path, suffix: str) -> Path:
    """Write discs with numbers beyond 16 bits."""
    path = labels / f"a{suffix}"
    values = np.where(discs() > 0, discs().astype(np.uint32) + 70_000, 0)
    if suffix == ".npy":
        np.save(path, values)
    else:
        tifffile.imwrite(path, values.astype(np.uint32))
    return path


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_labels_of_other_formats_are_read(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    path = numbered(tmp_path / "labels", suffix)
    one = held_out(tmp_path)
    assert one.labels == path
    assert np.array_equal(one.read().labels, np.where(discs() > 0, discs() + 70_000, 0))


def test_what_is_not_nothing_is_nucleus_in_a_mask(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.where(discs() > 0, 255, 0).astype(np.uint8)).save(tmp_path / "masks/a.png")
    one = held_out(tmp_path, "masks").read()
    assert not one.instances
    assert np.array_equal(one.labels, discs() > 0)


def test_what_is_read_is_cut_to_the_multiple(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    numbered(tmp_path / "labels", ".npy")
    one = held_out(tmp_path)
    cut = HeldOut(one.image, one.labels, one.instances, one.patient, one.organ, multiple_px=16)
    assert cut.read().labels.shape == cut.read().image.shape[:2] == (80, 96)
    assert cut.fingerprint() != one.fingerprint()


def mask(path: Path) -> None:
    Image.fromarray(np.where(discs() > 0, 255, 0).astype(np.uint8)).save(path)


def colours(path: Path) -> None:
    Image.fromarray(tissue(80, 100)).save(path)


def torn(path: Path) -> None:
    path.write_bytes(b"no image")


@pytest.mark.parametrize(
    ("write", "words"),
    [(mask, "masks or classes, not instances"), (colours, r"an array \(80, 100, 3\)"), (torn, "no readable labels")],
)
def test_what_is_no_instances_is_refused(write: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    write(tmp_path / "labels/a.png")
    with pytest.raises(TrainingError, match=words) as error:
        held_out(tmp_path).read()
    assert len(str(error.value).splitlines()) == 2


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    numbered(tmp_path / "labels", ".npy")
    one = held_out(tmp_path)
    one.image.write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"a\.png: no readable image"):
        one.read()


def test_a_fingerprint_follows_from_the_bytes_of_both_files(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    path = numbered(tmp_path / "labels", ".npy")
    one = held_out(tmp_path)
    before = one.fingerprint()
    assert held_out(tmp_path).fingerprint() == before
    np.save(path, discs())
    relabelled = one.fingerprint()
    Image.fromarray(tissue(80, 100)[::-1]).save(one.image)
    assert len({before, relabelled, one.fingerprint()}) == 3
    path.unlink()
    with pytest.raises(EvaluationError, match=r"a\.npy: cannot be read"):
        one.fingerprint()
