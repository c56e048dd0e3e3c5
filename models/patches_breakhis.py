"""BreaKHis as published (Spanhol et al. 2016): breast tumours under the microscope at four magnifications.

`BreaKHis_v1/histology_slides/breast/<benign|malignant>/SOB/<type>/<slide>/<magnification>X/*.png`, 700 x 460 px, all of
it in the file's name too: `SOB_B_TA-14-3411F-40-001` is biopsy, benign, tubular adenoma, year, slide, magnification,
image.

A patient is the slide's number alone. Numbers that differ by a letter (29960AB and 29960CD) are parts of one case, and
13412 is there as ductal and as lobular carcinoma: one patient, not two.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_folders import images_below
from models.patches_image import read_rgb

MAGNIFICATION_MPP = {40: 2.3, 100: 0.91, 200: 0.455, 400: 0.23}
"""um per px, by the nuclei: at 200x lymphocytes are some 13 px wide, which is 6 um. The camera's 6.5 um behind the
authors' objectives and relay lens would give 0.10 there, and lymphocytes of 1.3 um."""
CLASSES = {"B": "benign", "M": "malignant"}
TYPES = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes_tumor",
    "TA": "tubular_adenoma",
    "DC": "ductal_carcinoma",
    "LC": "lobular_carcinoma",
    "MC": "mucinous_carcinoma",
    "PC": "papillary_carcinoma",
}
_NAME = re.compile(
    rf"SOB_(?P<tumour>[BM])_(?P<type>{'|'.join(TYPES)})-\d+-(?P<number>\d+)[A-Za-z]*-(?P<magnification>\d+)-\d+"
)


@dataclass(frozen=True, slots=True)
class BreakhisName:
    """What a file's name says."""

    patient: str
    """The slide's number, without letters."""
    labels: tuple[str, str]
    """The type of tumour, and whether it is benign or malignant."""
    magnification: int


def parse_breakhis(path: Path) -> BreakhisName:
    """Return what a file's name says. Raises TrainingError if it is no name of BreaKHis."""
    found = _NAME.fullmatch(path.stem)
    if found is None or int(found["magnification"]) not in MAGNIFICATION_MPP:
        what = "no file name of BreaKHis, such as SOB_B_TA-14-3411F-40-001.png"
        raise TrainingError.about(path, what, 'Take it out, or read it with kind = "folders".')
    labels = TYPES[found["type"]], CLASSES[found["tumour"]]
    return BreakhisName(found["number"], labels, int(found["magnification"]))


def list_breakhis(request: PatchRequest, magnification: int | None = None) -> list[Patch]:
    """Return the images of one magnification: of the one that is there, where none is asked for.

    Raises
    ------
    TrainingError
        if there are none, they are of several magnifications, or one is there twice.
    """
    paths = images_below(request.path)
    names = {path: parse_breakhis(path) for path in paths}
    found = sorted({name.magnification for name in names.values()})
    if magnification is None and len(found) > 1:
        what = f"images at {', '.join(f'{one}x' for one in found)}, which show the same tissue"
        kinds = ", ".join(f'"breakhis-{one}x"' for one in found)
        raise TrainingError.about(request.path, what, f"Take one magnification: kind = {kinds}.")
    chosen = [path for path in paths if magnification in {None, names[path].magnification}]
    if not chosen:
        wanted = f"no images at {magnification}x in it" if magnification else "no images in it"
        raise TrainingError.about(request.path, wanted, "Give the folder that BreaKHis unpacks to.")
    _refuse_doubles(chosen)
    return [_patch(path, names[path], request.source.mpp) for path in chosen]


def _refuse_doubles(paths: list[Path]) -> None:
    stem, count = Counter(path.stem for path in paths).most_common(1)[0]
    if count > 1:
        twice = next(path for path in paths if path.stem == stem)
        raise TrainingError.about(twice, f"is there {count} times, in other folders", "Give one copy of the set.")


def _patch(path: Path, name: BreakhisName, mpp: float | None) -> Patch:
    stated_mpp = mpp or MAGNIFICATION_MPP[name.magnification]
    return Patch(str(path), name.patient, name.labels, partial(read_rgb, path), stated_mpp)
