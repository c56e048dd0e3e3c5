"""Examples for patch classification: square patches with a label each, grouped by patient."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.augment import jitter_stain, orient
from models.data import Split, patient_of, read_image, split_patients
from models.errors import TrainingError
from models.train_config import SourceConfig


@dataclass(frozen=True, slots=True)
class PatchSet:
    """Patches (n, y, x, 3) uint8 with a class index and a patient each."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]

    def of(self, patients: Sequence[str]) -> PatchSet:
        """Return the patches of some patients."""
        chosen = np.isin(self.patients, list(patients))
        return PatchSet(self.pixels[chosen], self.labels[chosen], self.patients[chosen])


def read_patches(source: SourceConfig, root: Path, classes: Sequence[str], field_px: int) -> PatchSet:
    """Return a source's patches.

    Kind `files`: `index.csv` with columns file, patient, label (a class's name or its index). Kind `sheets`: patches in
    a raster on sheets `sheet_NN.webp`, `index.csv` with columns sheet, row, column, patient, label.

    Raises
    ------
    TrainingError
        if the index names a class or a patch that is not there.
    """
    folder = root / source.path
    index = folder / "index.csv"
    try:
        rows = list(csv.DictReader(index.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise TrainingError.about(index, f"cannot be read ({error})", "Correct the source's path.") from error
    readers = {"files": _read_files, "sheets": _read_sheets}
    if source.kind not in readers or not rows:
        what = f"{index}: no rows, or no kind {source.kind!r} of patches"
        raise TrainingError(what, "Take `files` or `sheets`.")
    pixels = readers[source.kind](folder, rows, field_px)
    labels = np.array([_class_index(row["label"], classes, index) for row in rows])
    patients = np.array([patient_of(row["patient"], source.patient) for row in rows])
    return PatchSet(pixels, labels, patients)


def _read_sheets(folder: Path, rows: list[dict[str, str]], field_px: int) -> NDArray[np.uint8]:
    sheets = {name: read_image(folder / f"sheet_{int(name):02d}.webp") for name in {row["sheet"] for row in rows}}
    pixels = np.empty((len(rows), field_px, field_px, 3), dtype=np.uint8)
    for patch, row in zip(pixels, rows, strict=True):
        top, left = int(row["row"]) * field_px, int(row["column"]) * field_px
        patch[:] = sheets[row["sheet"]][top : top + field_px, left : left + field_px]
    return pixels


def _read_files(folder: Path, rows: list[dict[str, str]], field_px: int) -> NDArray[np.uint8]:
    pixels = np.empty((len(rows), field_px, field_px, 3), dtype=np.uint8)
    for patch, row in zip(pixels, rows, strict=True):
        image = read_image(folder / row["file"])
        if image.shape != patch.shape:
            height, width = image.shape[:2]
            what = f"{folder / row['file']}: {width} x {height} px where {field_px} x {field_px} is wanted"
            raise TrainingError(what, "Give `field_px` the side that the patches have.")
        patch[:] = image
    return pixels


def _class_index(label: str, classes: Sequence[str], index: Path) -> int:
    if label in classes:
        return list(classes).index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    what = f"{index}: label {label!r} is none of {', '.join(classes)}"
    raise TrainingError(what, "Name all `classes`.")


def split_patches(patches: PatchSet, source: SourceConfig, seed: int) -> Split:
    """Return the split by patient of a source's patches."""
    return split_patients(patches.patients.tolist(), source, seed)


def draw_patch(
    patches: PatchSet, by_class: Sequence[NDArray[np.int64]], stain: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], int]:
    """Return a random patch, augmented, and its class; each class is drawn equally often."""
    label = int(rng.integers(len(by_class)))
    place = int(rng.choice(by_class[label]))
    image = jitter_stain(patches.pixels[place], rng, stain)
    return orient(image, int(rng.integers(8))), label  # type: ignore[return-value]
