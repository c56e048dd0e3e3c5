"""Examples for nuclei segmentation: H&E crops with instance labels, or with masks that say nucleus and no more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.augment import jitter_stain, magnify, magnify_labels, orient, random_box, soften
from models.data import beside, choose, image_files, patient_of, read_image, read_labels, split_patients
from models.errors import TrainingError
from models.losses import NUCLEUS
from models.train_config import SourceConfig

BACKGROUND, INTERIOR, CONTOUR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image (y, x, 3) uint8 and its labels (y, x) int32: instances, or 1 for any nucleus."""

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    instances: bool


@dataclass(frozen=True, slots=True)
class NucleiSet:
    """The images of one source, by part of the split."""

    name: str
    share: float
    train: list[LabelledImage]
    validation: list[LabelledImage]
    test: list[LabelledImage]
    train_patients: tuple[str, ...]
    test_patients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NucleiAugmentation:
    """How far a training crop may be from the image it was cut from."""

    least_scale: float = 0.8
    largest_scale: float = 1.25
    stain: float = 0.15
    """See `jitter_stain`."""
    soften_share: float = 0.15
    """Share of crops that lose the detail finer than `soften_factor` px, as super-resolved images have."""
    soften_factor: float = 2.0


def read_nuclei(source: SourceConfig, root: Path, seed: int) -> NucleiSet:
    """Return a source's images: folder `images` beside `labels` (kind `instances`) or beside `masks` (kind `masks`)."""
    folders = {"instances": "labels", "masks": "masks"}
    if source.kind not in folders:
        what = f"{source.name}: no kind {source.kind!r} of nuclei"
        raise TrainingError(what, "Take `instances` or `masks`.")
    folder = root / source.path
    files = image_files(folder / "images")
    patients = [patient_of(path.stem, source.patient) for path in files]
    split = split_patients(patients, source, seed)
    parts: dict[str, list[LabelledImage]] = {"train": [], "validation": [], "test": []}
    for path, patient in zip(files, patients, strict=True):
        labels = read_labels(beside(folder / folders[source.kind], path))
        one = LabelledImage(path.stem, read_image(path), labels, source.kind == "instances")
        parts[split.part_of(patient)].append(one)
    return NucleiSet(source.name, source.share, **parts, train_patients=split.train, test_patients=split.test)


def three_classes(labels: NDArray[np.int32], *, instances: bool = True) -> NDArray[np.uint8]:
    """Return the classes (y, x) of labels (y, x): background 0, interior 1, contour 2.

    Contour is the outer 2 px of every instance, and every px within 1 px of two instances (the seam between
    neighbours). A px has eight neighbours at distance 1; the image's border is no contour. Where only masks are known,
    nuclei are `NUCLEUS`: interior or contour, nobody knows.
    """
    if not instances:
        return np.where(labels > 0, NUCLEUS, BACKGROUND).astype(np.uint8)
    lowest, highest = (rank(labels, 5, mode="nearest") for rank in (ndimage.minimum_filter, ndimage.maximum_filter))
    border = (labels > 0) & (lowest != highest)
    nearest_other = ndimage.maximum_filter(labels, 3, mode="nearest")
    without_background = np.where(labels > 0, labels, np.iinfo(np.int32).max)
    nearest_one = ndimage.minimum_filter(without_background, 3, mode="nearest")
    seam = (nearest_other > 0) & (nearest_one < nearest_other)
    classes = np.where(labels > 0, INTERIOR, BACKGROUND).astype(np.uint8)
    classes[border | seam] = CONTOUR
    return classes


def draw_nuclei(
    sets: list[NucleiSet], crop_px: int, augmentation: NucleiAugmentation, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a random crop (crop_px, crop_px, 3) with its classes (crop_px, crop_px), augmented.

    Labels are magnified before the classes are drawn, so that the contour is 2 px wide at any magnification.
    """
    images = sets[choose([one.share for one in sets], rng)].train
    one = images[int(rng.integers(len(images)))]
    scale = np.exp(rng.uniform(np.log(augmentation.least_scale), np.log(augmentation.largest_scale)))
    side_px = min(round(crop_px / scale), *one.labels.shape)
    box = random_box(one.labels.shape, side_px, rng)
    image = magnify(one.image[box], crop_px)
    classes = three_classes(magnify_labels(one.labels[box], crop_px), instances=one.instances)
    if rng.random() < augmentation.soften_share:
        image = soften(image, augmentation.soften_factor)
    image = jitter_stain(image, rng, augmentation.stain)
    orientation = int(rng.integers(8))
    return orient(image, orientation), orient(classes, orientation)  # type: ignore[return-value]
