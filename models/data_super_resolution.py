"""Pairs for super-resolution: an image as it was scanned, and the same reduced.

The reduction is antialiased bicubic on uint8, rounded (Pillow's `BICUBIC`, the `bicubic_aa` of the evaluation), of the
whole image before any crop, so that crops have no border of their own. What a network learns is to undo this operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from models.augment import orient, random_box
from models.data import choose, image_files, patient_of, read_image, split_patients
from models.train_config import SourceConfig

FIELD_PX = 1024
"""Side of the fields that a slide is cut into."""
LEAST_DEVIATION = 6.0
"""Crops whose grey levels deviate less are glass, and teach nothing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image (scale y, scale x, 3) and its reduction (y, x, 3), both uint8."""

    name: str
    high: NDArray[np.uint8]
    low: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PairSet:
    """The pairs of one source, by part of the split."""

    share: float
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    train_patients: tuple[str, ...]
    test_patients: tuple[str, ...]


def reduce_bicubic(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Return (y, x, 3) reduced to (y / scale, x / scale, 3) by antialiased bicubic, rounded."""
    height, width = image.shape[:2]
    reduced = Image.fromarray(image).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    return np.asarray(reduced)


def enlarge_bicubic(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Return (y, x, 3) enlarged to (scale y, scale x, 3) by bicubic, rounded: the baseline."""
    height, width = image.shape[:2]
    return np.asarray(Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.BICUBIC))


def make_pair(name: str, image: NDArray[np.uint8], scale: int) -> Pair:
    """Return an image, cut to a multiple of the scale, with its reduction."""
    height, width = (length // scale * scale for length in image.shape[:2])
    high = np.ascontiguousarray(image[:height, :width])
    return Pair(name, high, reduce_bicubic(high, scale))


def read_pairs(source: SourceConfig, root: Path, scale: int, seed: int) -> PairSet:
    """Return a source's pairs: `images` is a folder of images, `slide` one flat or tiled TIFF."""
    if source.kind == "slide":
        return _read_slide(source, root / source.path, scale)
    files = image_files(root / source.path)
    patients = [patient_of(path.stem, source.patient) for path in files]
    split = split_patients(patients, source, seed)
    parts: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    for path, patient in zip(files, patients, strict=True):
        parts[split.part_of(patient)].append(make_pair(path.stem, read_image(path), scale))
    return PairSet(source.share, **parts, train_patients=split.train, test_patients=split.test)


def _read_slide(source: SourceConfig, path: Path, scale: int) -> PairSet:
    """Cut a slide's tissue into fields: left of `train_width` to train on, right of it to test, across it unused."""
    page = tifffile.imread(path, key=0)
    border = source.train_width * page.shape[1]
    train, test = [], []
    for top in range(0, page.shape[0] - FIELD_PX + 1, FIELD_PX):
        for left in range(0, page.shape[1] - FIELD_PX + 1, FIELD_PX):
            field = page[top : top + FIELD_PX, left : left + FIELD_PX]
            if not is_tissue(field):
                continue
            pair = make_pair(f"{path.stem} y {top} x {left}", field, scale)
            if left + FIELD_PX <= border:
                train.append(pair)
            elif left >= border:
                test.append(pair)
    name = path.stem
    held = (f"{name}, right of {source.train_width:g} of its width",) if test else ()
    return PairSet(source.share, train, [], test, train_patients=(name,), test_patients=held)


def is_tissue(field: NDArray[np.uint8]) -> bool:
    """Whether half of a field (y, x, 3) is coloured: saturation (max - min over RGB) above 20."""
    coarse = field[::8, ::8].astype(np.int16)
    return bool((np.ptp(coarse, axis=2) > 20).mean() > 0.5)


def draw_pair(
    sets: list[PairSet], crop_px: int, scale: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a random crop (low, high) in a random orientation; `crop_px` is the side of the high one."""
    pairs = sets[choose([one.share for one in sets], rng)].train
    side_px = crop_px // scale
    for _ in range(4):
        pair = pairs[int(rng.integers(len(pairs)))]
        rows, columns = random_box(pair.low.shape[:2], side_px, rng)
        low = pair.low[rows, columns]
        if low.std() > LEAST_DEVIATION:
            break
    high = pair.high[_times(rows, scale), _times(columns, scale)]
    orientation = int(rng.integers(8))
    return orient(low, orientation), orient(high, orientation)  # type: ignore[return-value]


def _times(box: slice, scale: int) -> slice:
    return slice(box.start * scale, box.stop * scale)
