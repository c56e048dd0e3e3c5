"""An image as a coarser scanner would have given it: what super-resolution is for, with the labels of the finer one.

The same labels judge every way back to the native resolution, so that the ways can be compared nucleus by nucleus.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.degrade import enlarge_bicubic, reduce_bicubic
from models.errors import EvaluationError
from models.nuclei_image import LabelledImage
from models.predict import load_predictor
from models.shelf import read_card
from models.whole_image import predict_whole

Pixels = NDArray[np.uint8]
Enlarge = Callable[[Pixels], Pixels]
"""Maps (y, x, 3) to (factor y, factor x, 3), both uint8 RGB."""
BICUBIC = "bicubic"
"""Stands for a bundle where interpolation enlarges; `bicubic-x2` says how much, too."""
_BICUBIC_BY = re.compile(rf"{BICUBIC}-x(\d+)")


@dataclass(frozen=True, slots=True)
class Enlarger:
    """How an image that was reduced `factor` times gets its pixels back."""

    factor: int
    enlarge: Enlarge
    card: Card | None
    """Of the bundle that enlarges; interpolation has none."""


def enlarger_of(
    name: str | Path, factor: int | None = None, *, device: str = "auto", precision: str = "auto", blend: float = 0.0
) -> Enlarger:
    """Return how a name enlarges: `bicubic-x2`, `bicubic` where `factor` says how much, or a super-resolution bundle.

    Device, precision and blend are a bundle's, as `models.predict.load_predictor` takes them.

    Raises
    ------
    EvaluationError
        if the bundle does something else, there is another scale than `factor`, or nothing would be enlarged.
    BundleError
        if it is neither, or cannot be used.
    """
    if name == BICUBIC and factor is not None:
        return _by_interpolation(factor)
    if said := _BICUBIC_BY.fullmatch(str(name)):
        scale = int(said.group(1))
        _refuse_other_scale(name, scale, factor)
        return _by_interpolation(scale)
    card = read_card(name)
    if card.task != "superresolution" or card.scale is None:
        what = f"a network for {card.task}, where one for superresolution is wanted"
        raise EvaluationError.about(name, what, "`histoloom models` lists the bundles and their tasks.")
    _refuse_other_scale(name, card.scale, factor)
    return Enlarger(card.scale, partial(predict_whole, load_predictor(name, device, precision, blend)), card)


def _refuse_other_scale(name: str | Path, scale: int, wanted: int | None) -> None:
    if wanted not in (None, scale):
        cure = f"Give {scale} for --scale or --degrade, or a bundle of scale {wanted}."
        raise EvaluationError.about(name, f"enlarges x{scale}, not x{wanted}", cure)


def _by_interpolation(factor: int) -> Enlarger:
    if factor < 2:
        what = f"scale {factor} enlarges nothing"
        raise EvaluationError(what, "Give a scale of 2, 4, 8 or 16.")
    return Enlarger(factor, partial(enlarge_bicubic, scale=factor), None)


def cut(one: LabelledImage, factor: int) -> LabelledImage:
    """Return an image and its labels without what exceeds a multiple of `factor`, right and below."""
    height, width = (length // factor * factor for length in one.labels.shape)
    return replace(one, image=one.image[:height, :width], labels=one.labels[:height, :width])


def scan_coarser(one: LabelledImage, factor: int, enlarge: Enlarge) -> LabelledImage:
    """Return an image reduced by antialiased bicubic, rounded to 8 bits, and enlarged again; its labels are kept.

    Both are first cut, right and below, to a multiple of `factor`.

    Raises
    ------
    ValueError
        if what is drawn has not the size of the labels.
    """
    whole = cut(one, factor)
    drawn = enlarge(reduce_bicubic(np.ascontiguousarray(whole.image), factor))
    if drawn.shape != whole.image.shape or drawn.dtype != np.uint8:
        msg = f"{one.name}: {drawn.dtype} {drawn.shape} was drawn where uint8 {whole.image.shape} is wanted"
        raise ValueError(msg)
    return replace(whole, image=drawn)


def draw_enlarged(one: LabelledImage, enlarger: Enlarger) -> LabelledImage:
    """Return an image as an enlarger draws it; each px of its labels becomes a square."""
    labels = enlarge_labels(one.labels, enlarger.factor)
    return replace(one, image=enlarger.enlarge(np.ascontiguousarray(one.image)), labels=labels)


def enlarge_labels(labels: NDArray[np.int32], factor: int) -> NDArray[np.int32]:
    """Return labels (y, x) as (factor y, factor x), each px a square."""
    return labels.repeat(factor, axis=0).repeat(factor, axis=1)
