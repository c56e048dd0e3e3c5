"""An image with its nuclei: what every layout of files comes down to, whatever its format.

Here the two are held against each other, and brought to the um per px that a network is trained at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label

from models.data import UNDECODABLE, read_image
from models.errors import TrainingError
from models.slide_fields import NEAR_ENOUGH

PLAUSIBLE_MPP = (0.05, 2.0)
"""um per px: what optics resolve at one end, nuclei 3 px wide at the other."""
LARGEST_ENLARGEMENT = 4.0
"""Images that would have to be enlarged further show no outlines of nuclei."""
_PIECES_PER_NUCLEUS = 2
_LEAST_PIECES = 3
_LAST_OF_16_BITS = 2**16 - 1


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image (y, x, 3) uint8 and its labels (y, x) int32: instances, or 1 for any nucleus."""

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    instances: bool


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (y, x, 3) uint8 RGB. Raises TrainingError that names it if it is none."""
    try:
        return read_image(path)
    except UNDECODABLE as error:
        raise TrainingError.about(path, f"no readable image ({error})", "Take it out, or copy it again.") from error


def refuse_misfit(image: NDArray[np.uint8], labels: NDArray[Any], image_name: str, labels_name: str | Path) -> None:
    """Raise if an image (y, x, 3) holds nothing, or labels are not a plane (y, x) of its size.

    Raises
    ------
    TrainingError
        that names the file at fault.
    """
    height, width = image.shape[:2]
    if not height or not width:
        raise TrainingError.about(image_name, f"empty, {width} x {height} px", "Take it out, or export it again.")
    if labels.shape != (height, width):
        what = f"an array {labels.shape}, beside {image_name} of {height} rows and {width} columns"
        raise TrainingError.about(labels_name, what, "Give a label image of one channel and of the image's size.")


def refuse_masks(labels: NDArray[np.int32], name: str | Path) -> None:
    """Raise if labels (y, x) are masks or classes: numbers that many separate nuclei share.

    Instances are in one piece, but for the few that others lie across: an image of MoNuSeg or CoNSeP has at most 1.17
    pieces a number. Masks have as many pieces as nuclei, and one number. A mask of one or two nuclei cannot be told
    from instances. Numbers that 16 bits could not hold are refused, too.

    Raises
    ------
    TrainingError
        that names the file.
    """
    numbers = len(np.unique(labels[labels > 0]))
    if _is_overflown(labels, numbers):
        what = f"instances were numbered beyond {_LAST_OF_16_BITS:,}, which 16 bits cannot hold: nuclei share numbers"
        raise TrainingError.about(name, what, "Export the instances again, as a TIFF of 32 bits or an NPY.")
    pieces = int(label(labels, background=0, connectivity=2).max())
    if pieces >= max(_LEAST_PIECES, _PIECES_PER_NUCLEUS * numbers):
        what = f"{pieces} separate nuclei share {numbers} numbers, so these are masks or classes, not instances"
        cure = 'Give every nucleus a number of its own; where only masks are known, train with kind = "masks".'
        raise TrainingError.about(name, what, cure)


def _is_overflown(labels: NDArray[np.int32], numbers: int) -> bool:
    """Whether labels (y, x) of so many numbers were written to 16 bits that did not suffice.

    What begins again at 0 has used nearly all numbers, what stops at the last number gives it to many nuclei. A file
    that merely reaches the last number uses few, each for a nucleus in a piece or two.
    """
    if labels.size == 0 or labels.max() != _LAST_OF_16_BITS:
        return False
    if numbers > _LAST_OF_16_BITS // 2:
        return True
    # The last number alone, in many pieces, is a mask.
    return numbers > 1 and int(label(labels == _LAST_OF_16_BITS, connectivity=2).max()) >= _LEAST_PIECES


def enlargement(name: str | Path, found_mpp: float, wanted_mpp: float) -> float:
    """Return how many times an image of `found_mpp` um per px is enlarged to be at `wanted_mpp`.

    It is 1 within a factor of 1.25: a slide's own px are used there too when nuclei are looked for.

    Raises
    ------
    TrainingError
        if `found_mpp` is implausible, or more than four times coarser than what is wanted.
    """
    if not PLAUSIBLE_MPP[0] <= found_mpp <= PLAUSIBLE_MPP[1]:
        what = f"{found_mpp:g} um per px is implausible for nuclei ({PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g})"
        raise TrainingError.about(name, what, "Give the source the true mpp (slide_mpp, for a slide).")
    ratio = found_mpp / wanted_mpp
    if 1 / NEAR_ENOUGH - 1e-9 <= ratio <= NEAR_ENOUGH + 1e-9:
        return 1.0
    if ratio > LARGEST_ENLARGEMENT:
        what = f"at {found_mpp:g} um per px it is {ratio:.3g} times coarser than the network's {wanted_mpp:g}"
        raise TrainingError.about(name, what, "Take a finer scan, or train a coarser network.")
    return ratio


def at_mpp(one: LabelledImage, found_mpp: float, wanted_mpp: float) -> LabelledImage:
    """Return an image of `found_mpp` um per px at `wanted_mpp`: bicubic, antialiased; labels by the nearest px.

    Raises TrainingError where `enlargement` does.
    """
    ratio = enlargement(one.name, found_mpp, wanted_mpp)
    if ratio == 1:
        return one
    height, width = (max(round(length * ratio), 1) for length in one.labels.shape)
    image = np.asarray(Image.fromarray(one.image).resize((width, height), Image.Resampling.BICUBIC))
    return LabelledImage(one.name, image, _nearest(one.labels, height, width), one.instances)


def _nearest(labels: NDArray[np.int32], height: int, width: int) -> NDArray[np.int32]:
    """Return labels (y, x) at another size, each px the label at its centre."""
    sides = zip((height, width), labels.shape, strict=True)
    rows, columns = (((np.arange(wanted) + 0.5) * found / wanted).astype(int) for wanted, found in sides)
    resampled: NDArray[np.int32] = labels[rows[:, np.newaxis], columns]
    return resampled
