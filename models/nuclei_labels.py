"""Label images of any of the formats that instances come in: whole numbers, one a nucleus, 0 for background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from models.data import UNDECODABLE
from models.errors import TrainingError

LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
"""Where several lie beside an image, the first of these counts."""


def read_label_array(path: Path) -> NDArray[Any]:
    """Return what a PNG, TIFF (of 32 bits too) or NPY holds, whatever its type and shape; raises `UNDECODABLE`."""
    match path.suffix.lower():
        case ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        case ".tif" | ".tiff":  # Pillow has no unsigned 32 bits
            return np.asarray(tifffile.imread(path))
        case _:
            with Image.open(path) as image:
                return np.asarray(image)


def as_labels(array: NDArray[Any], name: str | Path) -> NDArray[np.int32]:
    """Return an array of labels as int32 of the same shape; numbers beyond 2^31 - 1 are given anew, in their order.

    Raises
    ------
    TrainingError
        if a number is negative or no whole one, as after rescaling or interpolation.
    """
    cure = "Export instances as whole numbers from 0 (16- or 32-bit PNG or TIFF, NPY), without any interpolation."
    if array.dtype.kind not in "buif":
        raise TrainingError.about(name, f"labels of type {array.dtype} are no numbers", cure)
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise TrainingError.about(name, "labels with fractions name no nuclei", cure)
    if array.size and array.min() < 0:
        raise TrainingError.about(name, f"a label of {array.min():g}", cure)
    if array.size and array.max() > np.iinfo(np.int32).max:
        values, places = np.unique(array, return_inverse=True)
        array = places.reshape(array.shape) + (values[0] != 0)
    return array.astype(np.int32)


def read_instances(path: Path) -> NDArray[np.int32]:
    """Return the labels of a file as int32, of the file's shape; raises TrainingError that names it."""
    try:
        array = read_label_array(path)
    except UNDECODABLE as error:
        raise TrainingError.about(path, f"no readable labels ({error})", "Take it out, or copy it again.") from error
    return as_labels(array, path)


def labels_of(folder: Path, image: Path) -> Path:
    """Return the label file of an image in another folder: that of the same stem.

    Raises
    ------
    TrainingError
        if there is none.
    """
    paths = [folder / f"{image.stem}{suffix}" for suffix in LABEL_SUFFIXES]
    for path in paths:
        if path.is_file():
            return path
    cure = f"Give every image labels of the same stem ({', '.join(LABEL_SUFFIXES)})."
    raise TrainingError.about(paths[0], f"missing beside {image}", cure)
