"""CoNSeP as published (Graham et al. 2019, HoVer-Net): `Images/*.png` beside `Labels/*.mat` with `inst_map`.

41 tiles of 1,000 x 1,000 px of colorectal adenocarcinoma at 40x. Of 16 patients, nobody says whose a tile is: split by
the tile.
"""

from __future__ import annotations

import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from models.data import UNDECODABLE
from models.errors import TrainingError
from models.nuclei_examples import Example, Request
from models.nuclei_image import LabelledImage, read_rgb, refuse_masks, refuse_misfit
from models.nuclei_labels import as_labels

_UNREADABLE = (*UNDECODABLE, MatReadError, NotImplementedError, TypeError, KeyError, zlib.error)
"""What scipy raises for what is no MATLAB file, is broken, or is of version 7.3 (HDF5)."""


def list_consep(request: Request) -> list[Example]:
    """Return the tiles of a folder that holds `Images` and `Labels`, or `Train` and `Test` with these.

    Raises
    ------
    TrainingError
        if there are none, or one has no labels.
    """
    images = sorted([*request.path.glob("Images/*.png"), *request.path.glob("*/Images/*.png")])
    if not images:
        what = "holds no Images/*.png, nor Train/Images/*.png"
        raise TrainingError.about(request.path, what, "Give the folder that CoNSeP unpacks to, or its `Train`.")
    reads = [(path.stem, partial(_read, path, _labels_of(path))) for path in images]
    return [Example(stem, stem, read, request.source.mpp) for stem, read in reads]


def _labels_of(image: Path) -> Path:
    path = image.parent.parent / "Labels" / f"{image.stem}.mat"
    if not path.is_file():
        raise TrainingError.about(path, f"missing beside {image}", "Copy the folder `Labels` again.")
    return path


def _read(path: Path, labels_path: Path) -> LabelledImage:
    image, labels = read_rgb(path), as_labels(_instance_map(labels_path), labels_path)
    refuse_misfit(image, labels, path.name, labels_path)
    refuse_masks(labels, labels_path)
    return LabelledImage(path.stem, image, labels, instances=True)


def _instance_map(path: Path) -> NDArray[Any]:
    """Return `inst_map` (y, x) of a MATLAB file up to version 7.2; float64, as it was published."""
    try:
        return np.asarray(loadmat(path, variable_names=["inst_map"])["inst_map"])
    except _UNREADABLE as error:
        what = f"no readable MATLAB file with an inst_map ({error})"
        raise TrainingError.about(path, what, "Copy it again; save another program's with -v7.") from error
