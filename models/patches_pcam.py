"""PatchCamelyon as published (Veeling et al. 2018): patches of lymph nodes, 96 x 96 px at 10x, in HDF5.

`camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5`, unpacked, with the arrays `x` (n, 96, 96, 3) and `y`
(n, 1, 1, 1); 1 is a metastasis in the centre. A patch's slide, of which a patient has one, stands in
`..._{split}_meta.csv`, where that is there; without it only the authors' split is known to keep slides apart.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import refuse_shared_patients
from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_index import Row, corner_of, read_index

SPLITS = ("train", "valid", "test")
PCAM_MPP = 0.972
"""Level 2 of Camelyon16: 0.243 um/px, four times reduced."""


def list_pcam(request: PatchRequest) -> list[Patch]:
    """Return the patches of the splits that are there, each of the group `split/slide`, or of `split` alone.

    Raises
    ------
    TrainingError
        if h5py is not installed, files are missing or not of one length, nobody says whose the patches are, or a
        slide is in two splits.
    """
    splits = [split for split in SPLITS if _file(request.path, split, "x.h5").is_file()]
    if not splits:
        what = f"no {_file(request.path, 'train', 'x.h5').name} in it, nor that of another split"
        raise TrainingError.about(request.path, what, "Unpack the files (gunzip *.h5.gz) into this folder.")
    patches = {split: _patches(request, split) for split in splits}
    slides = {split: {one.group.partition("/")[2] or split for one in found} for split, found in patches.items()}
    refuse_shared_patients(**slides)
    return [one for found in patches.values() for one in found]


def _file(folder: Path, split: str, rest: str) -> Path:
    return folder / f"camelyonpatch_level_2_split_{split}_{rest}"


def _patches(request: PatchRequest, split: str) -> list[Patch]:
    images_path, labels_path = (_file(request.path, split, f"{name}.h5") for name in ("x", "y"))
    images, labels = open_array(images_path, "x"), np.asarray(open_array(labels_path, "y")).reshape(-1)
    if len(images.shape) != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or len(images) != len(labels):
        what = f"an array {images.shape} of {images.dtype} beside {len(labels)} labels"
        raise TrainingError.about(images_path, what, "Copy it again: (n, 96, 96, 3) of uint8, a label each.")
    meta = _file(request.path, split, "meta.csv")
    rows = _slides(meta, len(labels)) if meta.is_file() else None
    if rows is None:
        _refuse_unknown(request, meta)
    mpp = request.source.mpp or PCAM_MPP
    return [
        Patch(
            f"{images_path} [{place}]",
            f"{split}/{rows[place]['wsi']}" if rows else split,
            (str(int(label)),),
            partial(_read, images, place, images_path),
            mpp,
            corner_of(rows[place], meta, "coord_y", "coord_x") if rows else None,
        )
        for place, label in enumerate(labels)
    ]


def _slides(meta: Path, count: int) -> list[Row]:
    rows = read_index(meta, {"wsi"})
    if len(rows) != count:
        raise TrainingError.about(meta, f"{len(rows)} rows for {count} patches", "Copy it again.")
    return rows


def _refuse_unknown(request: PatchRequest, meta: Path) -> None:
    """Raise unless the source keeps to the authors' split, by naming its parts."""
    named = {*request.source.validation, *request.source.test}
    shares = request.source.validation_share, request.source.test_share
    if not named or not named <= set(SPLITS) or any(shares):
        what = "not there, so nobody says whose the patches are"
        cure = 'Add the file, or keep the authors\' split: validation = ["valid"], test = ["test"].'
        raise TrainingError.about(meta, what, cure)


def open_array(path: Path, name: str) -> Any:
    """Return an array of an HDF5 file, unread: it has shape, dtype and slices.

    Raises
    ------
    TrainingError
        if h5py is not installed, or the file is not there, broken, or holds no such array.
    """
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        cure = "Install it with `pip install 'histoloom[hdf5]'`."
        raise TrainingError.about(path, "HDF5, which needs h5py, and that is not installed", cure) from error
    try:
        return h5py.File(path, "r")[name]
    except (OSError, KeyError) as error:
        what = f"no readable HDF5 file with an array {name!r} ({error})"
        raise TrainingError.about(path, what, "Unpack it again (gunzip).") from error


def _read(images: Any, place: int, path: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(images[place])
    except OSError as error:
        what = f"patch {place} cannot be read ({error})"
        raise TrainingError.about(path, what, "Unpack it again (gunzip).") from error
