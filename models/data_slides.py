"""Pairs straight from a slide: the fields of it that decode, hold tissue and are sharp enough to teach.

The small image is a computed reduction of the large one, or (degradation `pyramid`) the same place in the slide's own
lower level, where a scanner's maker, not this program, has made large px of small ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

from models.data import patient_of
from models.degrade import enlarge_bicubic, reduce_bicubic
from models.errors import TrainingError
from models.metrics_image import luma, psnr
from models.pairs import CachedPairs, Pair, PairCache, PairSet, Registration, Tile, report_skipped, sort_out
from models.slide_fields import Fields, lay_fields, view_at
from models.slide_reader import SlideReader
from models.train_config import SourceConfig

MakePair = Callable[[str, str, NDArray[np.uint8]], Pair]
"""From (name, patient, large image) to the pair, by a computed degradation."""

_OFFSET_STEPS_PER_PX = 50
_REGISTERED_FIELDS = 12
_log = logging.getLogger(__name__)


def read_slide(source: SourceConfig, slide: SlideReader, scale: int, crop_px: int, make_pair: MakePair) -> PairSet:
    """Return a slide's pairs: left of `train_width` to train on, right of it to test, fields across it unused.

    Every field is looked at once, then read again when it is drawn, unless the cache holds it.

    Raises
    ------
    TrainingError
        if nothing is left to train on, or degradation `pyramid` finds no level to read.
    """
    patient = patient_of(slide.name, source.patient)
    fields = lay_fields(view_at(slide, source.mpp), scale, crop_px, pyramid=source.degradation == "pyramid")
    starts = {
        Tile(f"{slide.name} y {y} x {x}", patient, partial(_read_field, fields, y, x, patient, make_pair)): x
        for y, x in fields.places()
        if fields.view.tissue_share(y, x, fields.side_px) > source.least_tissue
    }
    cache = PairCache(source.cache_mib * 2**20)
    found = sort_out(starts, cache, partial(_softness, sharpest_db=source.sharpest_db))
    report_skipped(source.name, found.skipped, len(found.fit))
    border_px = source.train_width * fields.view.shape[1]
    train = CachedPairs([tile for tile in found.fit if starts[tile] + fields.side_px <= border_px], cache)
    test = CachedPairs([tile for tile in found.fit if starts[tile] >= border_px], cache)
    if not train and source.share > 0:
        _refuse_empty(slide.name, len(starts), found.skipped)
    return PairSet(
        source.share,
        train,
        (),
        test,
        train_patients=(patient,) if train else (),
        test_patients=(f"{patient}, right of {source.train_width:g} of its width",) if test else (),
        skipped=found.skipped,
        degradation=source.degradation,
        parted=f"{source.path} at {source.train_width:g}",
        registration=_registration(fields, [*train, *test]),
    )


def _read_field(fields: Fields, y: int, x: int, patient: str, make_pair: MakePair) -> Pair:
    name = f"{fields.view.slide.name} y {y} x {x}"
    if fields.lower is None:
        return make_pair(name, patient, fields.read(y, x))
    return Pair(name, fields.read(y, x), fields.read_lower(y, x), patient)


def round_trip_db(image: NDArray[np.uint8]) -> float:
    """Return the PSNR of (y, x, 3) after bicubic reduction by 2 and back; high where its px hold no detail."""
    even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
    return psnr(even, enlarge_bicubic(reduce_bicubic(even, 2), 2))


def _softness(pair: Pair, sharpest_db: float) -> str | None:
    found_db = round_trip_db(pair.high)
    return f"soft, {found_db:.1f} dB where {sharpest_db:g} is the limit" if found_db > sharpest_db else None


def _refuse_empty(name: str, fields: int, skipped: Sequence[str]) -> None:
    reason = f" ({skipped[0]})" if skipped else ""
    what = f"{name}: of {fields} fields of tissue none is left to train on{reason}"
    raise TrainingError(what, "Raise sharpest_db or train_width, lower least_tissue, or take another slide.")


def _registration(fields: Fields, pairs: Sequence[Pair]) -> Registration | None:
    """Return how a slide's levels lie on each other, where a lower one is read and there is anything to see it by."""
    if fields.lower is None or not pairs:
        return None
    return register(fields.view.slide.name, pairs, fields.lower.downsample)


def register(name: str, pairs: Sequence[Pair], downsample: float) -> Registration:
    """Return how far small images lie from their large ones, reduced, over a dozen pairs; and say so in the log."""
    chosen = pairs[:: max(len(pairs) // _REGISTERED_FIELDS, 1)]
    offsets = np.array([_offset_px(pair) for pair in chosen])
    median_y, median_x = (float(one) for one in np.median(offsets, axis=0))
    largest = float(np.abs(offsets).max())
    _log.info(
        "%s: its lower level, %.5g times coarser, lies (%.2f, %.2f) px (y, x) off the reduced upper one, at most %.2f",
        *(name, downsample, median_y, median_x, largest),
    )
    return Registration(downsample, (median_y, median_x), largest)


def _offset_px(pair: Pair) -> tuple[float, float]:
    """Return how far down and right the small image shows what the reduced large one does, in its px.

    The peak of the correlation of luma, found to 1/50 px by a matrix Fourier transform (Guizar-Sicairos et al. 2008, as
    in scikit-image). Not whitened, and under a Hann window: the borders of a field stay in place whatever its content
    does, are sharp, and would hold a whitened peak at zero.
    """
    scale = pair.high.shape[0] // pair.low.shape[0]
    found, reduced = (_windowed(luma(one)) for one in (pair.low, reduce_bicubic(pair.high, scale)))
    (y, x), _, _ = phase_cross_correlation(found, reduced, upsample_factor=_OFFSET_STEPS_PER_PX, normalization=None)
    return float(y), float(x)


def _windowed(light: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = (np.hanning(length) for length in light.shape)
    windowed: NDArray[np.float64] = (light - light.mean()) * rows[:, np.newaxis] * columns
    return windowed
