"""The images of a test set before they are read: whose they are, which organ they show, and how to get their pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from models.coarse_scan import cut
from models.comparison_nuclei_config import MONUSEG, TestSet
from models.data import image_files, patient_of
from models.errors import EvaluationError
from models.monuseg import MONUSEG_ORGANS
from models.nuclei_image import LabelledImage, read_rgb, refuse_masks, refuse_misfit
from models.nuclei_labels import labels_of, read_instances
from models.organs import organs_of, read_organs

_LABELS = {"instances": "labels", "masks": "masks"}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One labelled image, still on disk."""

    image: Path
    labels: Path
    instances: bool
    patient: str
    organ: str
    """Empty where the set does not say."""
    multiple_px: int = 1
    """What is read is cut, right and below, to a multiple of it."""

    @property
    def name(self) -> str:
        """The image's stem."""
        return self.image.stem

    def read(self) -> LabelledImage:
        """Return the image with its labels.

        Raises
        ------
        TrainingError
            if one of the two cannot be read, they have different sizes, or instances are none.
        """
        pixels, labels = read_rgb(self.image), read_instances(self.labels)
        refuse_misfit(pixels, labels, self.image.name, self.labels)
        if self.instances:
            refuse_masks(labels, self.labels)
        known = labels if self.instances else (labels > 0).astype(np.int32)
        return cut(LabelledImage(self.name, pixels, known, self.instances), self.multiple_px)

    def fingerprint(self) -> str:
        """Return a hash of what `read` follows from: the bytes of both files, and what is made of them.

        Raises
        ------
        EvaluationError
            if a file cannot be read.
        """
        made = f"{self.instances} {self.multiple_px}"
        return sha256(" ".join([_hash_of(self.image), _hash_of(self.labels), made]).encode()).hexdigest()


def _hash_of(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationError.about(path, f"cannot be read ({error})", "Take it out, or copy it again.") from error


def list_images(test_set: TestSet, root: Path) -> list[HeldOut]:
    """Return all images of a set below `root`, by name, whoever's they are.

    Raises
    ------
    ModelError
        if there are none, or one lacks labels, a patient or an organ.
    """
    folder = root / test_set.path
    files = image_files(folder / "images")
    labels = folder / _LABELS[test_set.kind]
    patients = {path: patient_of(path.stem, test_set.patient) for path in files}
    organs = _organs(test_set, root, patients)
    instances = test_set.kind == "instances"
    return [HeldOut(path, labels_of(labels, path), instances, patients[path], organs.get(path, "")) for path in files]


def _organs(test_set: TestSet, root: Path, patients: dict[Path, str]) -> dict[Path, str]:
    if not test_set.organs:
        return {}
    if test_set.organs == MONUSEG:
        found = organs_of(patients.values(), MONUSEG_ORGANS, "models/monuseg.py")
        return {path: found[patient] for path, patient in patients.items()}
    table = root / test_set.organs
    found = organs_of([path.name for path in patients], read_organs(table, test_set.organ_columns), table)
    return {path: found[path.name] for path in patients}


def of_patients(images: list[HeldOut], patients: Collection[str], where: str) -> list[HeldOut]:
    """Return the images of some patients.

    Raises
    ------
    EvaluationError
        that names patients without an image; `where` is the set.
    """
    absent = sorted(set(patients) - {one.patient for one in images})
    if absent:
        what = f"has no image of {len(absent)} patients ({', '.join(absent[:5])})"
        raise EvaluationError.about(where, what, "Correct the set's `test` or `patient`, or name another --data.")
    return [one for one in images if one.patient in patients]
