"""The images that an evaluation is given, straight from a folder: whatever cannot be read is named, not fatal."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data import UNDECODABLE, patient_of, read_image
from models.degrade import Degradation, cut_to_multiple, degrade
from models.errors import EvaluationError, TrainingError, UnreadableImage
from models.evaluate_super_resolution import least_side_px
from models.nuclei_image import LabelledImage, refuse_masks, refuse_misfit
from models.nuclei_labels import as_labels, read_label_array
from models.pairs import Pair


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder by name, hidden ones left out; which of them are images is seen by reading them.

    Raises
    ------
    EvaluationError
        if there is no such folder, or no file in it.
    """
    if not folder.is_dir():
        raise EvaluationError.about(folder, "no such folder", "Give a folder of images.")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise EvaluationError.about(folder, "holds no images", "Give a folder of images.")
    return files


def decode(path: Path, least_side_px: int = 1) -> NDArray[np.uint8]:
    """Return an image as (y, x, 3) uint8 RGB.

    Raises
    ------
    UnreadableImage
        if it is none, is broken, or has a side below `least_side_px`.
    """
    try:
        image = read_image(path)
    except UNDECODABLE as error:
        raise UnreadableImage.about(path, f"no readable image ({error})", "Take it out, or copy it again.") from error
    height, width = image.shape[:2]
    if min(height, width) < least_side_px:
        what = f"{width} x {height} px where {least_side_px} px a side are needed"
        raise UnreadableImage.about(path, what, "Take it out, or give a larger one.")
    return image


def decode_pair(path: Path, scale: int, degradation: str, patient: str) -> Pair:
    """Return an image, cut to a multiple of the scale, with its reduction; what is drawn by lot follows from its name.

    `patient` is the regular expression whose first group is the patient in the file's stem.

    Raises
    ------
    UnreadableImage
        if the image cannot be read, or is too small to be judged.
    TrainingError
        if there is no such degradation of an image, or the expression finds no patient.
    """
    high = cut_to_multiple(decode(path, least_side_px(scale) + scale - 1), scale)
    low = degrade(high, scale, cast(Degradation, degradation), np.random.default_rng(zlib.crc32(path.name.encode())))
    return Pair(path.name, high, low, patient_of(path.stem, patient))


def labels_beside(folder: Path, files: Sequence[Path]) -> dict[Path, Path]:
    """Return where the labels of files lie: the PNG of the same stem.

    Raises
    ------
    EvaluationError
        that names images without one; files that are no images need none.
    """
    labels = {path: folder / f"{path.stem}.png" for path in files}
    absent = [path.name for path in files if not labels[path].is_file() and _is_image(path)]
    if absent:
        what = f"labels missing for {len(absent)} images ({', '.join(absent[:5])})"
        raise EvaluationError.about(folder, what, "Give every image a 16-bit instance PNG of the same stem.")
    return labels


def _is_image(path: Path) -> bool:
    """Whether the first bytes of a file are an image's."""
    try:
        with Image.open(path):
            return True
    except UNDECODABLE:
        return False


def decode_labelled(image: Path, labels: Path) -> LabelledImage:
    """Return an image with its instances.

    Raises
    ------
    UnreadableImage
        if one of the two cannot be read.
    EvaluationError
        if the labels are not a plane of the image's size, or no instances: fractions, or numbers that nuclei share.
    """
    pixels = decode(image)
    try:
        array = read_label_array(labels)
    except UNDECODABLE as error:
        raise UnreadableImage.about(labels, f"no readable image ({error})", "Copy it again.") from error
    try:
        instances = as_labels(array, labels)
        refuse_misfit(pixels, instances, image.name, labels)
        refuse_masks(instances, labels)
    except TrainingError as error:  # what teaches nothing measures nothing
        raise EvaluationError(error.what, error.cure) from error
    return LabelledImage(image.stem, pixels, instances, instances=True)
