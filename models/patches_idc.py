"""Invasive ductal carcinoma as published (Cruz-Roa et al. 2014, Janowczyk and Madabhushi 2016).

`<patient>/<0|1>/<patient>_idx5_x1001_y1301_class0.png`: patches of 50 x 50 px on a grid, from breast slides at 40x
reduced 16 times; 1 is carcinoma. The archive that most people have holds everything twice, the second time in a folder
`IDC_regular_ps50_idx5`, one level deeper, where it is not looked at.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_field import LEAST_SIDE_PX
from models.patches_image import read_rgb, read_size

IDC_MPP = 4.0
"""0.25 um/px, reduced 16 times."""
SIDE_PX = 50
_NAME = re.compile(r"(?P<patient>\d+)_idx\d+_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>[01])")
_log = logging.getLogger(__name__)


def list_idc(request: PatchRequest) -> list[Patch]:
    """Return the patches, with their place in px of the reduced slide.

    Those cut off by the slide's edge are continued by their last row and column, or left out where they are narrower
    than 32 px; how many, the log says.

    Raises
    ------
    TrainingError
        if there are none, a name is another set's, or says something else than its folders.
    """
    paths = sorted(request.path.glob("*/[01]/*.png"))
    if not paths:
        cure = "Give the folder that holds the patients' folders."
        raise TrainingError.about(request.path, "no <patient>/<0 or 1>/*.png in it", cure)
    patches, padded, narrow = [], 0, 0
    for path in paths:
        shortest = min(read_size(path))
        padded += LEAST_SIDE_PX <= shortest < SIDE_PX
        narrow += shortest < LEAST_SIDE_PX
        if shortest >= LEAST_SIDE_PX:
            patches.append(_patch(path, request.source.mpp))
    if padded or narrow:
        counts = padded, LEAST_SIDE_PX, narrow, len(paths)
        text = "%s: patches at a slide's edge, continued to 50 px: %d; narrower than %d px, left out: %d; of %d"
        _log.warning(text, request.path, *counts)
    return patches


def _patch(path: Path, mpp: float | None) -> Patch:
    found = _NAME.fullmatch(path.stem)
    if found is None:
        what = "no file name of the IDC set, such as 10253_idx5_x1001_y1301_class0.png"
        raise TrainingError.about(path, what, 'Take it out, or read it with kind = "folders".')
    patient, label = path.parent.parent.name, path.parent.name
    if (found["patient"], found["label"]) != (patient, label):
        what = f"the name says patient {found['patient']}, class {found['label']}; the folders {patient}, {label}"
        raise TrainingError.about(path, what, "Put it where its name says, or take it out.")
    return Patch(str(path), patient, (label,), partial(_read, path), mpp or IDC_MPP, (int(found["y"]), int(found["x"])))


def _read(path: Path) -> NDArray[np.uint8]:
    """Return a patch (y, x, 3); the slide's edge cuts patches off at the bottom and on the right."""
    image = read_rgb(path)
    missing = [max(SIDE_PX - length, 0) for length in image.shape[:2]]
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else image
