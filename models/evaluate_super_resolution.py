"""What a super-resolution is worth on images it has not seen: the figures of a card, beside those of bicubic.

A method comes in as a callable on numpy arrays, so the same protocol measures a network in training, a bundle, and
anybody else's method. One image is judged at a time (`judge_pair`), then all are summed up (`summarise`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.degrade import enlarge_bicubic, reduce_bicubic
from models.metrics import mean_and_deviation, over_images, paired_bootstrap
from models.metrics_image import LEAST_SIDE_PX, luma, ms_ssim, mse, psnr, psnr_of, qilv, ssim
from models.pairs import Pair

Pixels = NDArray[np.uint8]
Enlarge = Callable[[Pixels], Pixels]
"""Maps (y, x, 3) to (scale y, scale x, 3), both uint8 RGB."""
Distance = Callable[[Pixels, Pixels], float]
"""How different two (y, x, 3) uint8 images look; 0 for equal ones."""
Row = dict[str, float]
Figures = dict[str, Any]

SUPER_RESOLUTION_MEASURES = (
    "output rounded to 8 bits; {border} px cut from every side; PSNR and MSE over RGB and over Y (BT.601, 16-235), on "
    "0-255; SSIM with an 11 x 11 Gaussian of 1.5 px, MS-SSIM over five scales (images of 176 px or more), windows "
    "where they fit only, RGB the mean of the channels; QILV over Y; consistency: the output reduced by antialiased "
    "bicubic against the input; mean and standard deviation over images, identical ones counted and left out of PSNR; "
    "gains over bicubic paired by image, 95 % intervals from 1,000 bootstrap samples of whole patients; float32"
)

GAINS = ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y", "qilv", "perceptual")
"""Figures whose paired difference from bicubic is stated, each with an interval over patients."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The figures of one image: of the method, and of bicubic interpolation. PSNR of equal images is infinite."""

    name: str
    patient: str
    method: Row
    bicubic: Row


def evaluate_super_resolution(
    pairs: Iterable[Pair], enlarge: Enlarge, scale: int, perceptual: Distance | None = None
) -> tuple[Figures, Figures]:
    """Return the figures of `enlarge`, (y, x, 3) to (scale y, scale x, 3), and those of bicubic interpolation.

    Every figure is `{"mean", "sd"}` over images. `images` counts them, `identical` those drawn without any error, whose
    infinite PSNR is in no mean. `<figure>_gain` is the paired difference from bicubic, `<figure>_gain_95` the 95 %
    interval of its mean over patients (NaN for a single patient).
    """
    return summarise([judge_pair(pair, enlarge, scale, perceptual) for pair in pairs])


def judge_pair(pair: Pair, enlarge: Enlarge, scale: int, perceptual: Distance | None = None) -> Judgement:
    """Return the figures of one image.

    Raises
    ------
    ValueError
        if what is drawn has not the size of the true image, or too little of that is left to judge.
    """
    if min(pair.high.shape[:2]) < least_side_px(scale):
        msg = (
            f"{pair.name} is smaller than {least_side_px(scale)} px: its border is cut, and a window must fit the rest"
        )
        raise ValueError(msg)
    drawings = (enlarge(pair.low), enlarge_bicubic(pair.low, scale))
    return Judgement(
        pair.name,
        pair.patient or pair.name,
        *(_figures(pair, drawn, scale, perceptual) for drawn in drawings),
    )


def least_side_px(scale: int) -> int:
    """Return the side of the smallest image that can be judged."""
    return 2 * scale + LEAST_SIDE_PX + 1


def _figures(pair: Pair, drawn: Pixels, scale: int, perceptual: Distance | None) -> Row:
    if drawn.shape != pair.high.shape or drawn.dtype != np.uint8:
        msg = f"{pair.name}: {drawn.dtype} {drawn.shape} was drawn where uint8 {pair.high.shape} is wanted"
        raise ValueError(msg)
    row = _likeness(_inner(pair.high, scale), _inner(drawn, scale), perceptual)
    consistency = mse(_inner(reduce_bicubic(drawn, scale), 1), _inner(pair.low, 1))
    return row | {"consistency_rms": math.sqrt(consistency), "consistency_psnr": psnr_of(consistency)}


def _likeness(truth: Pixels, drawn: Pixels, perceptual: Distance | None) -> Row:
    """Return the figures of a drawn image (y, x, 3) beside the true one, their borders cut."""
    row: Row = {}
    true_y, drawn_y = luma(truth), luma(drawn)
    for space, one, other in (("rgb", truth, drawn), ("y", true_y, drawn_y)):
        row |= {
            f"psnr_{space}": psnr(one, other),
            f"mse_{space}": mse(one, other),
            f"ssim_{space}": ssim(one, other),
        }
        structure = ms_ssim(one, other)
        if structure is not None:
            row[f"ms_ssim_{space}"] = structure
    row["qilv"] = qilv(true_y, drawn_y)
    if perceptual is not None:
        row["perceptual"] = perceptual(truth, drawn)
    return row


def _inner(image: Pixels, border_px: int) -> Pixels:
    return image[border_px:-border_px, border_px:-border_px]


def summarise(judgements: Sequence[Judgement]) -> tuple[Figures, Figures]:
    """Return the figures over images of the method and of bicubic, as `evaluate_super_resolution` does."""
    methods, bicubics = [one.method for one in judgements], [one.bicubic for one in judgements]
    method: Figures = over_images(methods) | {"images": len(judgements), "identical": _identical(methods)}
    bicubic: Figures = over_images(bicubics) | {"identical": _identical(bicubics)}
    for name in (name for name in GAINS if name in method):
        differences = _differences(judgements, name)
        method[f"{name}_gain"] = mean_and_deviation([value for values in differences.values() for value in values])
        method[f"{name}_gain_95"] = paired_bootstrap(differences)
    return method, bicubic


def _identical(rows: Sequence[Row]) -> int:
    return sum(row["mse_rgb"] == 0 for row in rows)


def _differences(judgements: Sequence[Judgement], name: str) -> dict[str, list[float]]:
    """Return, by patient, how much larger a figure is than bicubic's on each image where both are finite."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in judgements:
        difference = one.method.get(name, math.nan) - one.bicubic.get(name, math.nan)
        if math.isfinite(difference):
            found[one.patient].append(difference)
    return dict(found)
