"""The plain layouts: a folder `images` beside a folder `labels` (instances), or beside `masks`, of the same stems."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from models.data import image_files
from models.nuclei_examples import Example, Request
from models.nuclei_image import LabelledImage, read_rgb, refuse_masks, refuse_misfit
from models.nuclei_labels import labels_of, read_instances


def list_instances(request: Request) -> list[Example]:
    """Return images with one number a nucleus: PNG of 8 or 16 bits, TIFF of up to 32 bits, or NPY."""
    return _list(request, "labels")


def list_masks(request: Request) -> list[Example]:
    """Return images with masks: what is not 0 is nucleus, whose, nobody knows (NuInsSeg)."""
    return _list(request, "masks")


def _list(request: Request, truth: str) -> list[Example]:
    pairs = [(path, labels_of(request.path / truth, path)) for path in image_files(request.path / "images")]
    reads = [(path.stem, partial(_read, path, labels, instances=truth == "labels")) for path, labels in pairs]
    return [Example(stem, stem, read, request.source.mpp) for stem, read in reads]


def _read(path: Path, labels_path: Path, *, instances: bool) -> LabelledImage:
    image, labels = read_rgb(path), read_instances(labels_path)
    refuse_misfit(image, labels, path.name, labels_path)
    if instances:
        refuse_masks(labels, labels_path)
    return LabelledImage(path.stem, image, labels if instances else (labels > 0).astype(np.int32), instances)
