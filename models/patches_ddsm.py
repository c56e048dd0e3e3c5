"""CBIS-DDSM as published (Lee et al. 2017), its DICOM files converted to PNG or JPEG.

`{mass,calc}_case_description_{train,test}_set.csv`, anywhere below the folder, have a row an abnormality: patient_id,
pathology, and paths `Mass-Training_P_00001_LEFT_CC/<study>/<series>/000000.dcm` of the mammogram and of the abnormality
cut out of it. A converted image is found by the series, as the folder it lies in, or else by the path's first part, as
its name. Patients occur in the authors' training and test sets at once, so that only patient_id keeps them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_folders import images_below
from models.patches_image import read_rgb, read_size
from models.patches_index import read_index

WHOLE = "image file path"
CROPPED = "cropped image file path"
_LABELS: dict[str, tuple[str, ...]] = {
    "BENIGN_WITHOUT_CALLBACK": ("benign_without_callback", "benign"),
    "BENIGN": ("benign",),
    "MALIGNANT": ("malignant",),
}
_SEVERITY = list(_LABELS)
"""The least severe first."""


def list_ddsm(request: PatchRequest, column: str = WHOLE) -> list[Patch]:
    """Return the images of a column of the tables: mammograms, or the abnormalities cut out of them.

    An image with several rows has the severest of their labels. What is not square is shown whole, on black.

    Raises
    ------
    TrainingError
        if there are no tables, one lacks a column or has an unknown pathology, or an image is not there.
    """
    tables = sorted(request.path.rglob("*_case_description_*.csv"))
    if not tables:
        what = "no *_case_description_*.csv below it"
        raise TrainingError.about(request.path, what, "Give the folder that holds the tables and the images.")
    found = _read_tables(tables, column)
    converted = _Converted(images_below(request.path))
    absent = [image for image in found if not converted.of(image)]
    if absent:
        what = f"the tables name {len(absent)} images that are not there ({', '.join(absent[:2])})"
        raise TrainingError.about(request.path, what, "Convert all of them, or take their rows out.")
    # A series of an abnormality may hold its mask as well, which is as large as the whole mammogram.
    choose = min if column == CROPPED else max
    paths = {image: choose(converted.of(image), key=_area) for image in found}
    mpp = request.source.mpp
    return [
        Patch(str(paths[image]), patient, _LABELS[pathology], partial(_read_square, paths[image]), mpp)
        for image, (patient, pathology) in found.items()
    ]


def _read_tables(tables: Iterable[Path], column: str) -> dict[str, tuple[str, str]]:
    """Return the patient and the severest pathology of every image that a column names."""
    found: dict[str, tuple[str, str]] = {}
    for table in tables:
        for row in read_index(table, {"patient_id", "pathology", column}):
            image, pathology = row[column].strip(), row["pathology"].strip()
            if pathology not in _LABELS:
                what = f"pathology {pathology!r} is none of {', '.join(_LABELS)}"
                raise TrainingError.about(table, what, "Correct the row.")
            known = found.get(image, ("", pathology))[1]
            found[image] = row["patient_id"].strip(), max(pathology, known, key=_SEVERITY.index)
    return found


class _Converted:
    """The images below a folder, by what the tables call them."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_name: dict[str, list[Path]] = {}
        for path in paths:
            for name in {path.parent.name, path.stem}:
                self._by_name.setdefault(name, []).append(path)

    def of(self, dicom: str) -> list[Path]:
        """Return the images that a DICOM file may have become; none if nothing was converted."""
        parts = PurePosixPath(dicom.replace("\\", "/")).parts
        names = ([parts[-2]] if len(parts) > 1 else []) + [parts[0]] if parts else []
        return next((self._by_name[name] for name in names if name in self._by_name), [])


def _area(path: Path) -> int:
    height, width = read_size(path)
    return height * width


def _read_square(path: Path) -> NDArray[np.uint8]:
    """Return an image in the middle of a black square (y, x, 3): a mammogram's own background."""
    image = read_rgb(path)
    height, width = image.shape[:2]
    missing = max(height, width) - height, max(height, width) - width
    around = [(length // 2, length - length // 2) for length in missing]
    return np.pad(image, (*around, (0, 0)))
