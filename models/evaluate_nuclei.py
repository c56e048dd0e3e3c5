"""What a nuclei network is worth on images it has not seen, beside finding nothing: by image, by organ, over patients.

A network comes in as a callable on numpy arrays, as `models.predict` makes them, so the same protocol measures a
network in training, a bundle, and anybody else's method. One image is judged at a time (`judge_instances`), then all
are summed up (`summarise`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data_nuclei import LabelledImage
from models.metrics import bootstrap_interval, over_images, paired_bootstrap
from models.metrics_instances import aji, aji_plus, detection, dice, panoptic_quality, relative_count_error

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]
Row = Mapping[str, float]
Figures = dict[str, Any]

DETECTION_RADIUS_UM = 3.0
"""How far a found centroid may be from the true one: 12 px at 0.25 um/px, about a nucleus's radius."""
COUNT_ERROR = "absolute_relative_count_error"

NUCLEI_MEASURES = (
    "Dice, AJI, AJI+ (one-to-one pairs), PQ = DQ x SQ (IoU > 0.5), F1 of centroids paired one to one within 3 um, "
    "relative count error (signed, and absolute) an image; mean and standard deviation over images, for the absolute "
    "count error the median, too; float32"
)
NUCLEI_PROTOCOL = f"Whole images; instances as in a run, with the card's parameters; {NUCLEI_MEASURES}"
INTERVALS = "95 % intervals from 1,000 bootstrap samples of whole patients"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The figures of one image: of a method, and of finding nothing."""

    name: str
    patient: str
    organ: str
    """Empty where it is not known."""
    method: Row
    nothing: Row


def evaluate_nuclei(
    images: Iterable[LabelledImage],
    predict: Callable[[Pixels], Probabilities],
    instances: Callable[[Probabilities], NDArray[np.int32]],
    *,
    mpp: float = 0.25,
) -> tuple[Figures, Figures]:
    """Return the figures of a network, (y, x, 3) to (y, x, 3), with an instance step, and those of finding nothing.

    `mpp` is the images' um per px. Images that come with masks only are judged by Dice.
    """
    rows, nothing = [], []
    for one in images:
        rows.append(judge_instances(one, instances(predict(one.image)), mpp=mpp))
        nothing.append(judge_nothing(one, mpp=mpp))
    return summarise(rows), summarise(nothing)


def judge_nothing(one: LabelledImage, *, mpp: float = 0.25) -> dict[str, float]:
    """Return the figures of finding no nucleus on an image."""
    return judge_instances(one, np.zeros_like(one.labels), mpp=mpp)


def judge_instances(one: LabelledImage, found: NDArray[np.int32], *, mpp: float = 0.25) -> dict[str, float]:
    """Return the figures of instances (y, x) that were found on an image of `mpp` um per px.

    Raises
    ------
    ValueError
        if what was found has not the size of the labels.
    """
    if found.shape != one.labels.shape:
        msg = f"{one.name}: instances {found.shape} were found where {one.labels.shape} are wanted"
        raise ValueError(msg)
    figures = {"dice": dice(one.labels > 0, found > 0)}
    if not one.instances:
        return figures
    quality = panoptic_quality(one.labels, found)
    error = relative_count_error(one.labels, found)
    return figures | {
        "aji": aji(one.labels, found),
        "aji_plus": aji_plus(one.labels, found),
        "pq": quality.pq,
        "dq": quality.dq,
        "sq": quality.sq,
        "detection_f1": detection(one.labels, found, DETECTION_RADIUS_UM / mpp).f1,
        "relative_count_error": error,
        COUNT_ERROR: abs(error),
    }


def summarise(rows: Sequence[Row], patients: Sequence[str] | None = None) -> Figures:
    """Return the figures over images, a row an image.

    Every figure is `{"mean", "sd"}`; `images` counts them. `absolute_relative_count_error_median` is the median, which
    a single image full of debris does not decide. Where it is said whose each image is, `patients` counts them, and
    `<figure>_95` is the 95 % interval of the mean (or the median) over patients: NaN for a single patient.
    """
    figures: Figures = over_images(rows)
    names = list(figures)
    if COUNT_ERROR in figures:
        figures[f"{COUNT_ERROR}_median"] = float(np.median(_column(rows, COUNT_ERROR)))
    if patients is not None:
        for name in names:
            having = [patient for row, patient in zip(rows, patients, strict=True) if name in row]
            figures[f"{name}_95"] = paired_bootstrap(_by_patient(_column(rows, name), having))
            if name == COUNT_ERROR:
                figures[f"{name}_median_95"] = _interval_of_median(_column(rows, name), having)
        figures["patients"] = len(set(patients))
    return figures | {"images": len(rows)}


def summarise_by_organ(judgements: Sequence[Judgement]) -> dict[str, dict[str, Figures]]:
    """Return, for every organ, the figures of the method (`totals`) and of finding nothing (`baseline`)."""
    by_organ: dict[str, list[Judgement]] = defaultdict(list)
    for one in judgements:
        by_organ[one.organ].append(one)
    return {
        organ: dict(zip(("totals", "baseline"), totals(by_organ[organ]), strict=True)) for organ in sorted(by_organ)
    }


def totals(judgements: Sequence[Judgement]) -> tuple[Figures, Figures]:
    """Return the figures over images and patients, of the method and of finding nothing."""
    patients = [one.patient for one in judgements]
    methods, nothings = [one.method for one in judgements], [one.nothing for one in judgements]
    return summarise(methods, patients), summarise(nothings, patients)


def paired_difference(one: Sequence[Judgement], other: Sequence[Judgement], name: str) -> tuple[float, float, float]:
    """Return how much larger a figure is than another method's on the same images: mean, and 95 % interval.

    Raises
    ------
    ValueError
        if the two are not of the same images, in the same order.
    """
    if [judgement.name for judgement in one] != [judgement.name for judgement in other]:
        msg = "differences are paired by image, and these are not the same images"
        raise ValueError(msg)
    values = [mine.method[name] - theirs.method[name] for mine, theirs in zip(one, other, strict=True)]
    low, high = paired_bootstrap(_by_patient(values, [judgement.patient for judgement in one]))
    return float(np.mean(values)), low, high


def _column(rows: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in rows if name in row]


def _by_patient(values: Sequence[float], patients: Sequence[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients, strict=True):
        found[patient].append(value)
    return found


def _interval_of_median(values: Sequence[float], patients: Sequence[str]) -> tuple[float, float]:
    if len(set(patients)) < 2:
        return float("nan"), float("nan")
    column = np.asarray(values)
    return bootstrap_interval(np.asarray(patients), lambda sample: float(np.median(column[sample])))
