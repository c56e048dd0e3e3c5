"""Mini-MIAS as published (Suckling et al. 1994): 322 mammograms as PGM of 1,024 x 1,024 px, and `Info.txt`.

Lines such as `mdb001 G CIRC B 535 425 197`: film, tissue, abnormality (`NORM`: none), benign or malignant, place and
radius; a film with two abnormalities has two lines. Films come in pairs, 001 and 002, 003 and 004: a patient's two
breasts.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_folders import images_below
from models.patches_image import read_rgb

MIAS_MPP = 200.0
"""Films were scanned at 50 um/px, and reduced four times."""
_LINE = re.compile(r"mdb(?P<film>\d{3})\w*\s+[FGD]\s+(?P<kind>[A-Z]{4})(?:\s+(?P<severity>[BM])\b)?")
_SEVERITY = {"B": "benign", "M": "malignant"}
_NORMAL = ("NORM", "normal")


def list_mias(request: PatchRequest) -> list[Patch]:
    """Return whole films, each with the severest of its labels: normal, benign or malignant (or its abnormality).

    Raises
    ------
    TrainingError
        if there is no readable `Info.txt`, or it labels a film that is not there.
    """
    info = request.path / "Info.txt"
    labels = read_info(info)
    films = {path.stem[:6]: path for path in images_below(request.path)}
    absent = sorted(labels.keys() - films.keys())
    if absent:
        what = f"labels {len(absent)} films that are not there ({', '.join(absent[:5])})"
        raise TrainingError.about(info, what, "Unpack the films beside it, or take their lines out.")
    mpp = request.source.mpp or MIAS_MPP
    return [
        Patch(str(films[film]), patient_of_film(film), labels[film], partial(read_rgb, films[film]), mpp)
        for film in sorted(labels)
    ]


def read_info(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the labels of every film, such as CIRC and benign. Raises TrainingError if there are none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise TrainingError.about(path, f"cannot be read ({error})", "Correct the source's path.") from error
    labels: dict[str, tuple[str, ...]] = {}
    for found in filter(None, map(_LINE.match, lines)):
        film = f"mdb{found['film']}"
        if found["kind"] != _NORMAL[0] and not found["severity"]:
            what = f"{film} has {found['kind']}, neither B nor M"
            raise TrainingError.about(path, what, "Complete the line, or take it out.")
        one = (found["kind"], _SEVERITY[found["severity"]]) if found["severity"] else _NORMAL
        labels[film] = max(labels.get(film, one), one, key=_rank)
    if not labels:
        what = "no lines such as `mdb001 G CIRC B 535 425 197`"
        raise TrainingError.about(path, what, "Copy the set's Info.txt again.")
    return labels


def patient_of_film(film: str) -> str:
    """Return a pair's first film, which stands for the patient: mdb001 for mdb001 and mdb002."""
    number = int(film[3:])
    return f"mdb{number - 1 + number % 2:03d}"


def _rank(labels: tuple[str, ...]) -> int:
    return ("normal", "benign", "malignant").index(labels[-1])
