"""Examples for nuclei segmentation: H&E crops with instance labels, or with masks that say nucleus and no more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.augment import jitter_stain, magnify, magnify_labels, orient, random_box, soften
from models.coarse_scan import Enlarger, draw_enlarged, enlarger_of
from models.data import choose, patient_of, split_patients
from models.errors import EvaluationError, TrainingError
from models.losses import NUCLEUS
from models.nuclei_channels import true_offsets
from models.nuclei_examples import Example, LabelledImages, Memory, Read, Request
from models.nuclei_image import LabelledImage, at_mpp, enlargement
from models.nuclei_layouts import list_examples
from models.slide_reader import OpenSlide, open_tiff
from models.train_config import SourceConfig

__all__ = [
    "BACKGROUND",
    "CONTOUR",
    "INTERIOR",
    "LabelledImage",
    "NucleiAugmentation",
    "NucleiSet",
    "draw_nuclei",
    "read_nuclei",
    "three_classes",
]

BACKGROUND, INTERIOR, CONTOUR = 0, 1, 2
_PARTS = ("train", "validation", "test")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NucleiSet:
    """The images of one source, by part of the split; one that was not held in memory is read when it is asked for."""

    name: str
    share: float
    train: Sequence[LabelledImage]
    validation: Sequence[LabelledImage]
    test: Sequence[LabelledImage]
    train_patients: tuple[str, ...]
    validation_patients: tuple[str, ...]
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


def read_nuclei(
    source: SourceConfig, root: Path, seed: int, mpp: float | None = None, open_slide: OpenSlide = open_tiff
) -> NucleiSet:
    """Return a source's images, split by patient, and brought to `mpp`, the network's um per px.

    All are looked at once, so that a training that starts has files it can use, but for those of memory-mapped arrays.
    Up to the source's `cache_mib` they stay in memory, those to train on first.

    Raises
    ------
    TrainingError
        if there is no such kind of source, or one of its files, or what is to enlarge its images, cannot be used.
    BundleError
        if what is to enlarge its images is no bundle.
    """
    examples = list_examples(Request(source, root / source.path, mpp, open_slide))
    _look_at_mpp(source, examples, mpp)
    patients = [patient_of(example.group, source.patient) for example in examples]
    split = split_patients(patients, source, seed)
    parts: dict[str, list[Example]] = {part: [] for part in _PARTS}
    for example, patient in zip(examples, patients, strict=True):
        parts[split.part_of(patient)].append(example)
    memory = Memory(source.cache_mib * 2**20)
    enlarger = _enlarger(source)
    train, validation, test = (LabelledImages(_reads(parts[part], mpp, memory, enlarger)) for part in _PARTS)
    return NucleiSet(
        source.name,
        source.share,
        train,
        validation,
        test,
        train_patients=split.train,
        validation_patients=split.validation,
        test_patients=split.test,
    )


def _enlarger(source: SourceConfig) -> Enlarger | None:
    try:
        return enlarger_of(source.enlarge) if source.enlarge else None
    except EvaluationError as error:  # here it is a training's setting that is wrong
        what = f"{source.name}: enlarge: {error.what}"
        raise TrainingError(what, error.cure) from error


def _reads(examples: list[Example], mpp: float | None, memory: Memory, enlarger: Enlarger | None) -> list[Read]:
    reads = [(example, partial(_read_at, example, mpp, enlarger)) for example in examples]
    return [read if example.mapped else memory.hold(read) for example, read in reads]


def _read_at(example: Example, mpp: float | None, enlarger: Enlarger | None) -> LabelledImage:
    one = example.read()
    if mpp is None or example.mpp is None:
        return one
    if enlarger and enlargement(example.name, example.mpp, mpp) > 1:
        return at_mpp(draw_enlarged(one, enlarger), example.mpp / enlarger.factor, mpp)
    return at_mpp(one, example.mpp, mpp)


def _look_at_mpp(source: SourceConfig, examples: list[Example], mpp: float | None) -> None:
    """Raise if an image's um per px cannot be, or be brought to `mpp`; say in the log of how many nobody knows them."""
    if mpp is None:
        return
    for example in examples:
        if example.mpp is not None:
            enlargement(example.name, example.mpp, mpp)
    unknown = sum(example.mpp is None for example in examples)
    if unknown:
        taken = (source.name, unknown, len(examples), mpp)
        _log.warning("%s: nobody says how many um a px of %d of %d images spans; taken for %g (say mpp)", *taken)


CONTOUR_PX = 2
"""At 0.25 um/px."""


def three_classes(
    labels: NDArray[np.int32], *, instances: bool = True, contour_px: int = CONTOUR_PX
) -> NDArray[np.uint8]:
    """Return the classes (y, x) of labels (y, x): background 0, interior 1, contour 2.

    Contour is the outer `contour_px` px of every instance, and every px within 1 px of two instances (the seam between
    neighbours). A px has eight neighbours at distance 1; the image's border is no contour. Where only masks are known,
    nuclei are `NUCLEUS`: interior or contour, nobody knows.
    """
    if not instances:
        return np.where(labels > 0, NUCLEUS, BACKGROUND).astype(np.uint8)
    side = 2 * contour_px + 1
    lowest, highest = (rank(labels, side, mode="nearest") for rank in (ndimage.minimum_filter, ndimage.maximum_filter))
    border = (labels > 0) & (lowest != highest)
    nearest_other = ndimage.maximum_filter(labels, 3, mode="nearest")
    without_background = np.where(labels > 0, labels, np.iinfo(np.int32).max)
    nearest_one = ndimage.minimum_filter(without_background, 3, mode="nearest")
    seam = (nearest_other > 0) & (nearest_one < nearest_other)
    classes = np.where(labels > 0, INTERIOR, BACKGROUND).astype(np.uint8)
    classes[border | seam] = CONTOUR
    return classes


class Crop(NamedTuple):
    """A square to learn from."""

    image: NDArray[np.uint8]
    """(y, x, 3)."""
    classes: NDArray[np.uint8]
    """(y, x); see `three_classes`."""
    offsets: NDArray[np.float32] | None
    """(2, y, x), where they were asked for; without meaning where the class is `NUCLEUS`. See `nuclei_channels`."""


def draw_nuclei(
    sets: list[NucleiSet],
    crop_px: int,
    augmentation: NucleiAugmentation,
    rng: np.random.Generator,
    contour_px: int = CONTOUR_PX,
    *,
    offsets: bool = False,
) -> Crop:
    """Return a random crop of side crop_px, augmented.

    Labels are magnified before the classes are drawn, so that the contour is `contour_px` wide at any magnification.

    Raises
    ------
    TrainingError
        if the image that was drawn is so small that it would be magnified beyond `largest_scale`.
    """
    images = sets[choose([one.share for one in sets], rng)].train
    one = images[int(rng.integers(len(images)))]
    scale = np.exp(rng.uniform(np.log(augmentation.least_scale), np.log(augmentation.largest_scale)))
    side_px = _side_px(one, crop_px, scale, augmentation.largest_scale)
    box = random_box(one.labels.shape, side_px, rng)
    image = magnify(one.image[box], crop_px)
    labels = magnify_labels(one.labels[box], crop_px)
    if rng.random() < augmentation.soften_share:
        image = soften(image, augmentation.soften_factor)
    image = jitter_stain(image, rng, augmentation.stain)
    orientation = int(rng.integers(8))
    labels = orient(labels, orientation)  # type: ignore[assignment]
    return Crop(
        image=orient(image, orientation),  # type: ignore[arg-type]
        classes=three_classes(labels, instances=one.instances, contour_px=contour_px),
        offsets=true_offsets(labels) if offsets else None,
    )


def _side_px(one: LabelledImage, crop_px: int, scale: float, largest_scale: float) -> int:
    """Return how many px of an image become a crop."""
    shortest_px: int = min(one.labels.shape)
    if shortest_px < int(crop_px / largest_scale):
        what = f"{one.name}: {shortest_px} px, too few for crops of {crop_px} px at a scale of {largest_scale:g}"
        raise TrainingError(what, "Take smaller crops (crop_px), or leave the image out.")
    return min(round(crop_px / scale), shortest_px)
