"""Examples for patch classification: square patches with a label each, grouped by patient."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.augment import jitter_stain, orient
from models.data import Split, patient_of, split_patients
from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest, class_index
from models.patches_field import enlargement, fit_field, taken_px
from models.patches_layouts import list_patches
from models.slide_reader import OpenSlide, open_tiff
from models.train_config import SourceConfig

MOST_BYTES = 4 * 2**30
"""Patches are held in memory, all of them."""
_LEAST_PATIENTS = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PatchSet:
    """Patches (n, y, x, 3) uint8 with a class index and a patient each."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    corners_px: NDArray[np.int64] | None = None
    """(n, 2), y before x: where each begins on its slide, in px of the source; None where nobody says of all."""

    def of(self, patients: Sequence[str]) -> PatchSet:
        """Return the patches of some patients."""
        chosen = np.isin(self.patients, list(patients))
        corners_px = None if self.corners_px is None else self.corners_px[chosen]
        return PatchSet(self.pixels[chosen], self.labels[chosen], self.patients[chosen], corners_px)


def read_patches(
    source: SourceConfig,
    root: Path,
    classes: Sequence[str],
    field_px: int,
    mpp: float | None = None,
    open_slide: OpenSlide = open_tiff,
) -> PatchSet:
    """Return a source's patches as the network's fields: of `field_px` a side, at `mpp` where that is known of both.

    Raises
    ------
    TrainingError
        if there is no such kind of source, one of its files cannot be used, its patches are more than memory should
        hold, or a class has no patches, or those of one patient alone.
    """
    request = PatchRequest(source, root / source.path, tuple(classes), field_px, mpp, open_slide)
    found = list_patches(request)
    labels = np.array([class_index(one, classes) for one in found], dtype=np.int64)
    patients = np.array([patient_of(one.group, source.patient) for one in found])
    _refuse_unequal(request, labels, patients)
    _refuse_large(request, len(found))
    _look_at(request, found, patients)
    pixels = np.empty((len(found), field_px, field_px, 3), dtype=np.uint8)
    for place, one in enumerate(found):
        pixels[place] = _read(one, request)
    corners = [one.corner_px for one in found if one.corner_px is not None]
    return PatchSet(pixels, labels, patients, np.array(corners) if len(corners) == len(found) else None)


def _read(one: Patch, request: PatchRequest) -> NDArray[np.uint8]:
    """Return a patch as the network's field (y, x, 3)."""
    ratio = None if one.mpp is None or request.mpp is None else enlargement(one.name, one.mpp, request.mpp)
    image = one.read()
    height, width = image.shape[:2]
    return fit_field(image, taken_px(one.name, (height, width), request.field_px, ratio), request.field_px)


def _refuse_unequal(request: PatchRequest, labels: NDArray[np.int64], patients: NDArray[np.str_]) -> None:
    """Raise if a class cannot be both learned and tested: it has no patches, or only those of one patient."""
    for index, name in enumerate(request.classes):
        whose = sorted(set(patients[labels == index].tolist()))
        if not whose:
            what = f"no patches of class {name}"
            raise TrainingError.about(request.path, what, "Add some, or leave the class out of `classes`.")
        if len(whose) < _LEAST_PATIENTS:
            count = int((labels == index).sum())
            what = f"all {count} patches of class {name} are of one patient ({whose[0]})"
            cure = "Add patients, or correct the `patient` expression: who is learned from is not tested on."
            raise TrainingError.about(request.path, what, cure)


def _refuse_large(request: PatchRequest, count: int) -> None:
    size_bytes = count * request.field_px**2 * 3
    if size_bytes > MOST_BYTES:
        held, most = size_bytes / 2**30, MOST_BYTES / 2**30
        what = f"{count:,} patches of {request.field_px} px a side are {held:.1f} GiB, and at most {most:g} are held"
        most_px = int((MOST_BYTES / count / 3) ** 0.5)
        raise TrainingError.about(request.path, what, f"Take fewer patches, or a field_px of {most_px} or less.")


def _look_at(request: PatchRequest, found: Sequence[Patch], patients: NDArray[np.str_]) -> None:
    """Say in the log what is likely to be wrong, and what nobody says."""
    if len(set(patients.tolist())) == len(found):
        text = "%s: every one of %d patches is of another patient; if that is not so, say `patient`"
        _log.warning(text, request.source.name, len(found))
    unknown = sum(one.mpp is None for one in found)
    if request.mpp is not None and unknown:
        taken = (request.source.name, unknown, len(found), request.field_px, request.mpp)
        text = "%s: nobody says how many um a px of %d of %d patches spans; brought to %d px, taken for %g (say mpp)"
        _log.warning(text, *taken)


def split_patches(patches: PatchSet, source: SourceConfig, seed: int) -> Split:
    """Return the split by patient of a source's patches."""
    return split_patients(patches.patients.tolist(), source, seed)


def draw_patch(
    patches: PatchSet, by_class: Sequence[NDArray[np.int64]], stain: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], int]:
    """Return a random patch, augmented, and its class; each class is drawn equally often."""
    label = int(rng.integers(len(by_class)))
    place = int(rng.choice(by_class[label]))
    image = jitter_stain(patches.pixels[place], rng, stain)
    return orient(image, int(rng.integers(8))), label  # type: ignore[return-value]
