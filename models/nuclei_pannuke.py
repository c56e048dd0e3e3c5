r"""PanNuke as published (Gamper et al. 2019 and 2020): three folds of arrays of 256 x 256 patches at 0.25 um/px.

`images.npy` (n, 256, 256, 3), values 0 to 255, uint8 or float64; `masks.npy` (n, 256, 256, 6): the instances of
neoplastic, inflammatory, connective, dead and epithelial nuclei, a number each, and the background; `types.npy` (n):
the tissue. A fold is 4 GB of images and 8 GB of masks in float64: the files stay mapped, a patch is read when it is
drawn.

**Whose a patch is was not published.** What the `patient` expression sees is `fold/tissue`, such as `fold1/Breast`:
`'(fold\d)'` splits by the authors' folds, `'.*/(.+)'` by tissue. A patient may have patches in several folds; only a
split by tissue keeps patients apart for certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import UNDECODABLE
from models.errors import TrainingError
from models.nuclei_examples import Example, Request
from models.nuclei_image import LabelledImage
from models.nuclei_labels import as_labels

PANNUKE_MPP = 0.25
_CHANNELS = 6
_LOOKED_AT = 16
"""Patches of each fold, spread over it, that are looked at before a training starts: faults are a whole file's."""
_CURE = "Copy the fold again; images are (n, y, x, 3) of 0 to 255, masks (n, y, x, 6)."


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """The mapped arrays of a fold."""

    name: str
    folder: Path
    images: NDArray[Any]
    masks: NDArray[Any]
    tissues: tuple[str, ...]

    def read(self, place: int) -> LabelledImage:
        """Return a patch, the instances of all kinds numbered anew. Raises TrainingError."""
        name = f"{self.folder / 'images.npy'}, patch {place}"
        labels = _join_kinds(self.masks[place, ..., : _CHANNELS - 1], name.replace("images.npy", "masks.npy"))
        return LabelledImage(f"{self.name} {place}", _rgb(self.images[place], name), labels, instances=True)


def list_pannuke(request: Request) -> list[Example]:
    """Return the patches of all folds below a folder: where `images.npy` and `types.npy` lie, `masks.npy` beside them
    or in the folder `masks` beside `images`, as the archives have it.

    Raises
    ------
    TrainingError
        if there is no fold, or its arrays do not fit each other.
    """
    paths = sorted(request.path.rglob("images.npy"))
    if not paths:
        cure = "Give the folder of a fold, or the one that all were unpacked to."
        raise TrainingError.about(request.path, "no images.npy in it", cure)
    mpp = request.source.mpp or PANNUKE_MPP
    folds = [open_fold(path) for path in paths]
    return [example for fold in folds for example in _examples(fold, mpp)]


def _examples(fold: Fold, mpp: float) -> list[Example]:
    for place in np.unique(np.linspace(0, len(fold.tissues) - 1, _LOOKED_AT, dtype=int)):
        fold.read(int(place))
    return [
        Example(f"{fold.name} {place}", f"{fold.name}/{tissue}", partial(fold.read, place), mpp, mapped=True)
        for place, tissue in enumerate(fold.tissues)
    ]


def open_fold(images_path: Path) -> Fold:
    """Map a fold's arrays, named after the folder that `images.npy` lies in.

    Raises
    ------
    TrainingError
        if one is missing, broken, or of another shape.
    """
    folder = images_path.parent
    images, masks, tissues = (_map(path) for path in (images_path, _masks_of(folder), folder / "types.npy"))
    shapes = f"images {images.shape}, masks {masks.shape}, types {tissues.shape}"
    plane = (len(images), *images.shape[1:3])
    if not len(images) or images.shape != (*plane, 3) or masks.shape != (*plane, _CHANNELS):
        raise TrainingError.about(folder, f"arrays that do not fit each other: {shapes}", _CURE)
    if tissues.shape != (len(images),) or tissues.dtype.kind != "U":
        raise TrainingError.about(folder / "types.npy", f"no names of {len(images)} tissues", _CURE)
    return Fold(folder.name, folder, images, masks, tuple(tissues.tolist()))


def _masks_of(folder: Path) -> Path:
    """Return `masks.npy` of a fold: `Fold 1/masks/fold1/` for `Fold 1/images/fold1/`, else the same folder's."""
    archived = folder.parent.parent / "masks" / folder.name / "masks.npy"
    return archived if folder.parent.name == "images" and archived.is_file() else folder / "masks.npy"


def _map(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except UNDECODABLE as error:
        raise TrainingError.about(path, f"no readable array ({error})", _CURE) from error
    return array


def _rgb(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return a patch as (y, x, 3) uint8, a copy; raises TrainingError if its values are not 0 to 255."""
    if pixels.dtype == np.uint8:
        return np.array(pixels)
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not (lowest >= 0 and highest <= 255) or 0 < highest <= 1:  # 0..1, rounded, would be black
        raise TrainingError.about(name, f"values {lowest:g} to {highest:g}, where 0 to 255 are wanted", _CURE)
    rounded: NDArray[np.uint8] = np.rint(pixels).astype(np.uint8)
    return rounded


def _join_kinds(kinds: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Return the labels (y, x), 1 to n, of instances (y, x, kinds); where kinds overlap the first one counts."""
    labels = as_labels(kinds, name)
    apart = np.where(labels > 0, labels.astype(np.int64) * labels.shape[2] + np.arange(labels.shape[2]), 0)
    first = np.take_along_axis(apart, (apart > 0).argmax(axis=2)[..., np.newaxis], axis=2)[..., 0]
    values, places = np.unique(first, return_inverse=True)
    joined: NDArray[np.int32] = (places.reshape(first.shape) + (values[0] != 0)).astype(np.int32)
    return joined
