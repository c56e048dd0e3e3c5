"""What all training data share: reading an image, whose patient it is, and splits that no patient straddles.

The held-out patients of the shipped bundles stand here once; the super-resolver and the nuclei network leave out the
same ones, so that they can be tested in a row.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import TrainingError
from models.train_config import SourceConfig

MONUSEG_TEST_PATIENTS = (
    "TCGA-AR-A1AS",  # breast
    "TCGA-HE-7129",  # kidney
    "TCGA-21-5786",  # liver (by MoNuSeg's table)
    "TCGA-G9-6348",  # prostate
    "TCGA-G2-A2EK",  # bladder
    "TCGA-NH-A8F7",  # colon
)
"""Six of MoNuSeg's 30 training patients, one an organ; of the seventh organ, stomach, there are but two."""
MONUSEG_VALIDATION_PATIENTS = ("TCGA-E2-A14V", "TCGA-B0-5710")
"""Breast and kidney; they draw the curves."""

UNDECODABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that are no images, or broken ones."""
IMAGE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, slots=True)
class Split:
    """Patients for training, for choosing between weights, and for the test."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        refuse_shared_patients(train=self.train, validation=self.validation, test=self.test)

    def part_of(self, patient: str) -> str:
        """Return `train`, `validation` or `test`."""
        return next(part for part in ("train", "validation", "test") if patient in getattr(self, part))


def refuse_shared_patients(**parts: Iterable[str]) -> None:
    """Raise if a patient is in two parts of a split: images of one patient resemble each other, so the test would leak.

    Raises
    ------
    TrainingError
        that names the patients and the parts.
    """
    sets = {name: set(patients) for name, patients in parts.items()}
    names = sorted(sets)
    for position, one in enumerate(names):
        for other in names[position + 1 :]:
            shared = sorted(sets[one] & sets[other])
            if shared:
                what = f"split: {one} and {other} share {len(shared)} patients ({', '.join(shared[:5])})"
                raise TrainingError(what, "Put every patient into one part only.")


def split_patients(patients: Iterable[str], source: SourceConfig, seed: int) -> Split:
    """Return the split of a source: the named patients held out, and, where shares are asked for, others by lot.

    The lot depends on the set of patients and the seed alone, not on their order.

    Raises
    ------
    TrainingError
        if a patient that is to be held out is not there, or none is left to train on.
    """
    everyone = sorted(set(patients))
    refuse_shared_patients(validation=source.validation, test=source.test)
    absent = sorted({*source.validation, *source.test} - set(everyone))
    if absent:
        what = f"{source.path}: has no patient {', '.join(absent[:5])} to hold out"
        raise TrainingError(what, "Name patients that the `patient` expression finds, or correct the expression.")
    free = [patient for patient in everyone if patient not in {*source.validation, *source.test}]
    drawn = [free[place] for place in np.random.default_rng(seed).permutation(len(free))]
    tests, validations = (round(share * len(everyone)) for share in (source.test_share, source.validation_share))
    split = Split(
        train=tuple(sorted(drawn[tests + validations :])),
        validation=tuple(sorted({*source.validation, *drawn[tests : tests + validations]})),
        test=tuple(sorted({*source.test, *drawn[:tests]})),
    )
    if not split.train:
        what = f"{source.path}: no patient is left to train on"
        raise TrainingError(what, "Hold out fewer patients.")
    return split


def patient_of(name: str, pattern: str) -> str:
    """Return the patient whose id the pattern's first group finds in a name.

    Raises
    ------
    TrainingError
        if the pattern does not match.
    """
    try:
        found = re.match(pattern, name)
    except re.error as error:
        what = f"the patient expression {pattern!r} is no regular expression ({error})"
        raise TrainingError(what, "Give an expression whose first group is the patient, such as '(.{12})'.") from error
    if found is None or not found.groups():
        what = f"{name}: the patient expression {pattern!r} finds nothing"
        raise TrainingError(what, "Give an expression whose first group is the patient, such as '(.{12})'.")
    return found.group(1)


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder by name.

    Raises
    ------
    TrainingError
        if there are none.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        what = f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)})"
        raise TrainingError(what, "Correct the source's path, or the data root that it starts from.")
    return files


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as (y, x, 3) uint8 RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_labels(path: Path) -> NDArray[np.int32]:
    """Return a label image as (y, x) int32; 0 is background."""
    with Image.open(path) as image:
        return np.asarray(image).astype(np.int32)


def beside(folder: Path, image: Path) -> Path:
    """Return the PNG of the same stem in another folder.

    Raises
    ------
    TrainingError
        if it is not there.
    """
    path = folder / f"{image.stem}.png"
    if not path.is_file():
        what = f"{path}: missing beside {image}"
        raise TrainingError(what, "Give every image a PNG of the same stem.")
    return path


def choose(shares: Sequence[float], rng: np.random.Generator) -> int:
    """Return an index drawn in proportion to the shares."""
    weights = np.asarray(shares, dtype=np.float64)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
