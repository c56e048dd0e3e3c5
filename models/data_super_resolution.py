"""Pairs for super-resolution: an image as it was scanned, and the same reduced; and the crops that a batch is made of.

Whole images are reduced before any crop, or crops with a margin, so that crops have no border of their own. What a
network learns is to undo the source's degradation (`models.degrade`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.augment import UPRIGHT, jitter_stain, orient, random_box
from models.data import UNDECODABLE, choose, image_files, patient_of, read_image, split_patients
from models.data_slides import read_slide
from models.degrade import BY_LOT, Degradation, cut_to_multiple, degrade, reach_of
from models.errors import TrainingError
from models.pairs import PARTS, CachedPairs, Pair, PairCache, PairSet, Tile, refuse_leaks, report_skipped, sort_out
from models.slide_reader import OpenSlide, open_tiff
from models.train_config import SourceConfig

LEAST_DEVIATION = 6.0
"""Crops whose grey levels deviate less are glass, and teach nothing."""
_TRIES = 4
_CURE_TILES = "Give a folder of readable images that are at least as large as the crops, or take smaller crops."


def make_pair(
    name: str,
    image: NDArray[np.uint8],
    scale: int,
    kind: Degradation = "bicubic_aa",
    *,
    patient: str = "",
    seed: int = 0,
) -> Pair:
    """Return an image, cut to a multiple of the scale, with its reduction: the same one for a name and a seed."""
    high = cut_to_multiple(image, scale)
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    return Pair(name, high, degrade(high, scale, kind, rng), patient)


def read_sets(
    sources: Sequence[SourceConfig],
    root: Path,
    scale: int,
    seed: int,
    crop_px: int = 0,
    open_slide: OpenSlide = open_tiff,
) -> list[PairSet]:
    """Return the pairs of several sources, none of which tests on a patient that another trains on.

    Raises
    ------
    TrainingError
        if they share a patient, or one of them cannot be used.
    """
    sets = [read_pairs(source, root, scale, seed, crop_px, open_slide) for source in sources]
    refuse_leaks(sets)
    return sets


def read_pairs(
    source: SourceConfig, root: Path, scale: int, seed: int, crop_px: int = 0, open_slide: OpenSlide = open_tiff
) -> PairSet:
    """Return a source's pairs: `images` is a folder of images, `slide` one slide that `open_slide` opens.

    `crop_px` is the side of the large crops that will be drawn.

    Raises
    ------
    TrainingError
        if there is no such kind, or no tile of it can be used.
    """
    if source.kind not in {"images", "slide"} or (source.kind == "images" and source.degradation == "pyramid"):
        what = f"{source.name}: no kind {source.kind!r} of pairs with degradation {source.degradation!r}"
        raise TrainingError(what, "Take `images` or `slide`; degradation `pyramid` needs a `slide`.")
    if source.kind == "slide":
        slide = open_slide(root / source.path, source.slide_mpp)

        def make(name: str, patient: str, image: NDArray[np.uint8]) -> Pair:
            return make_pair(name, image, scale, source.degradation, patient=patient, seed=seed)

        return read_slide(source, slide, scale, crop_px, make)
    return _read_folder(source, root / source.path, scale, seed, crop_px)


def _read_folder(source: SourceConfig, folder: Path, scale: int, seed: int, crop_px: int) -> PairSet:
    read = partial(_read_tile, kind=source.degradation, scale=scale, seed=seed, least_px=max(crop_px, scale))
    tiles = [_tile(path, patient_of(path.stem, source.patient), read) for path in image_files(folder)]
    cache = PairCache(source.cache_mib * 2**20)
    found = sort_out(tiles, cache)
    report_skipped(source.name, found.skipped, len(found.fit))
    if not found.fit:
        raise TrainingError.about(folder, f"none of {len(tiles)} tiles can be used ({found.skipped[0]})", _CURE_TILES)
    split = split_patients([tile.patient for tile in found.fit], source, seed)
    train, validation, test = (
        CachedPairs([tile for tile in found.fit if split.part_of(tile.patient) == part], cache) for part in PARTS
    )
    return PairSet(
        source.share,
        train,
        validation,
        test,
        train_patients=split.train,
        test_patients=split.test,
        skipped=found.skipped,
        degradation=source.degradation,
    )


def _tile(path: Path, patient: str, read: Callable[[Path, str], Pair]) -> Tile:
    return Tile(path.name, patient, partial(read, path, patient))


def _read_tile(path: Path, patient: str, kind: Degradation, scale: int, seed: int, least_px: int) -> Pair:
    try:
        image = read_image(path)
    except UNDECODABLE as error:
        raise TrainingError.about(path, f"cannot be read ({error})", "Copy or export it again.") from error
    height, width = image.shape[:2]
    if min(height, width) < least_px:
        raise TrainingError.about(path, f"{width} x {height} px, smaller than the crops of {least_px} px", _CURE_TILES)
    return make_pair(path.stem, image, scale, kind, patient=patient, seed=seed)


def draw_pair(
    sets: Sequence[PairSet],
    crop_px: int,
    scale: int,
    rng: np.random.Generator,
    *,
    stain: float = 0.0,
    orientations: Sequence[int] = UPRIGHT,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a random crop (low, high) in a random orientation; `crop_px` is the side of the high one.

    `stain` is the strength of `jitter_stain`, on the large image before it is reduced. Degradations by lot are drawn
    afresh for every crop.
    """
    source = sets[choose([one.share for one in sets], rng)]
    pair, rows, columns = _draw_place(source.train, crop_px // scale, rng)
    if source.degradation in BY_LOT or (stain and source.degradation != "pyramid"):
        low, high = _degrade_crop(pair.high, (rows, columns), scale, source.degradation, rng, stain)
    else:
        low, high = pair.low[rows, columns], pair.high[_times(rows, scale), _times(columns, scale)]
        if stain:
            low, high = _jitter_alike(low, high, rng, stain)
    orientation = orientations[int(rng.integers(len(orientations)))]
    return orient(low, orientation), orient(high, orientation)  # type: ignore[return-value]


def _draw_place(pairs: Sequence[Pair], side_px: int, rng: np.random.Generator) -> tuple[Pair, slice, slice]:
    """Return a pair and the rows and columns of its small image, where it is not glass, or a black surround, alone."""
    for _ in range(_TRIES):
        pair = pairs[int(rng.integers(len(pairs)))]
        if min(pair.low.shape[:2]) < side_px:
            what = f"{pair.name}: smaller, once reduced, than the crops of {side_px} px"
            raise TrainingError(what, _CURE_TILES)
        rows, columns = random_box(pair.low.shape[:2], side_px, rng)
        if pair.low[rows, columns].std() > LEAST_DEVIATION:
            break
    return pair, rows, columns


def _degrade_crop(
    image: NDArray[np.uint8],
    box: tuple[slice, slice],
    scale: int,
    kind: Degradation,
    rng: np.random.Generator,
    stain: float,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (low, high) of a box (in px of low) of an image that is degraded now, with all that the box depends on."""
    reach = reach_of(kind, scale)
    outer = [reach.around(side, length // scale) for side, length in zip(box, image.shape[:2], strict=True)]
    inner = [slice(side.start - one.start, side.stop - one.start) for side, one in zip(box, outer, strict=True)]
    high = image[_times(outer[0], scale), _times(outer[1], scale)]
    if stain:
        high = jitter_stain(high, rng, stain)
    low = degrade(high, scale, kind, rng)
    return low[inner[0], inner[1]], high[_times(inner[0], scale), _times(inner[1], scale)]


def _jitter_alike(
    low: NDArray[np.uint8], high: NDArray[np.uint8], rng: np.random.Generator, stain: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both images with the same jitter: neither is made from the other."""
    seed = int(rng.integers(2**32))
    jittered = [jitter_stain(one, np.random.default_rng(seed), stain) for one in (low, high)]
    return jittered[0], jittered[1]


def _times(box: slice, scale: int) -> slice:
    return slice(box.start * scale, box.stop * scale)
