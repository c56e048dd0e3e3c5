"""What networks for pixels and patches are worth on a user's own images, as dictionaries that JSON takes as they are.

Each holds the protocol in words, who was measured, every image's own figures, the totals beside the trivial answer's,
what was skipped and why, and the versions that computed it. Networks compute in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.evaluation_record import Result, record
from flows.evaluation_subject import card_of, describe, describe_file, trained_on
from flows.image_by_image import OnImage, Skipped, judge_each
from models.card import Card
from models.classify_files import classify_files
from models.coarse_scan import BICUBIC, enlarger_of
from models.errors import EvaluationError
from models.evaluate_classification import CLASSIFICATION_MEASURES
from models.evaluate_classification import evaluate_classification as figures_of_classes
from models.evaluate_super_resolution import (
    SUPER_RESOLUTION_MEASURES,
    Distance,
    Judgement,
    judge_pair,
    summarise,
)
from models.evaluation_images import decode_pair, files_of
from models.evaluation_index import LabelledFiles, match_predictions, read_index, read_predictions
from models.perceptual import load_encoder, perceptual_distance
from models.predict import Predictor, load_predictor

_REDUCTIONS = {
    "bicubic_aa": "antialiased bicubic (Pillow)",
    "bilinear_aa": "antialiased bilinear (Pillow)",
    "box_jpeg": "the mean of each square and JPEG (drawn by lot from the file's name)",
    "blur_noise_jpeg": "blur, antialiased bicubic, noise and JPEG (drawn by lot from the file's name)",
}


def evaluate_superresolution(  # noqa: PLR0913 - the options of a command
    bundle: str,
    images: Path,
    scale: int,
    *,
    degradation: str = "bicubic_aa",
    blend: float = 0.0,
    patient: str = "(.+)",
    encoder: str | None = None,
    device: str = "auto",
    on_image: OnImage | None = None,
) -> Result:
    """Measure a bundle on a folder of large images, each reduced and enlarged again.

    Parameters
    ----------
    bundle
        A shipped bundle's name, a bundle's folder, or `bicubic`.
    images
        Images at the output's resolution; cut right and below to a multiple of the scale.
    scale
        Output side over input side, which must be the bundle's.
    degradation
        How the input is made: `bicubic_aa`, `bilinear_aa`, `box_jpeg` or `blur_noise_jpeg`.
    blend
        Share of the bundle's second weights, those trained against an adversary.
    patient
        Regular expression whose first group is the patient in a file's stem; by default every image is a patient.
    encoder
        What `models.perceptual.load_encoder` takes; with it, the perceptual distance is measured too.

    Raises
    ------
    ModelError
        if the bundle cannot make this scale, or no image can be judged.
    """
    reduction = _in_words(degradation)
    enlarger = enlarger_of(bundle, scale, device=device, precision="fp32", blend=blend)
    card = enlarger.card
    distance = _distance(encoder) if encoder else None

    def judge(path: Path) -> Judgement:
        return judge_pair(decode_pair(path, scale, degradation, patient), enlarger.enlarge, scale, distance)

    judged, skipped = judge_each(files_of(images), judge, on_image)
    method, bicubic = summarise(list(judged.values()))
    return record(
        "superresolution",
        f"Whole images, reduced by {reduction} and rounded to 8 bits; {SUPER_RESOLUTION_MEASURES.format(border=scale)}",
        bundle=describe(card) if card else {"name": BICUBIC, "sha256": None},
        scale=scale,
        blend=blend,
        degradation=degradation,
        perceptual_encoder=encoder,
        patients_trained_on=trained_on(card, (one.patient for one in judged.values())),
        images=[_enlarged_image(one) for one in judged.values()],
        skipped=skipped,
        totals=method,
        baseline={"method": "bicubic interpolation", **bicubic},
    )


def _in_words(degradation: str) -> str:
    if degradation not in _REDUCTIONS:
        what = f"degradation {degradation!r} is not made from an image"
        raise EvaluationError(what, f"Take {', '.join(_REDUCTIONS)}.")
    return _REDUCTIONS[degradation]


def _enlarged_image(one: Judgement) -> dict[str, Any]:
    return {"file": one.name, "patient": one.patient, "figures": one.method, "baseline": one.bicubic}


def evaluate_classification(
    images: Path,
    index: Path,
    *,
    bundle: str | None = None,
    predictions: Path | None = None,
    device: str = "auto",
    on_image: OnImage | None = None,
) -> Result:
    """Measure a bundle on patches, or probabilities that were computed elsewhere.

    Parameters
    ----------
    images
        The folder that the files of the index lie in.
    index
        CSV with the columns `file`, `patient`, `label`.
    bundle
        The classifier; beside `predictions` it only names the classes and their order.
    predictions
        Parquet with `file` and `p_<class>`; without a bundle, the columns' order is the classes'.

    Raises
    ------
    ModelError
        if neither is given, or index, files, predictions and classes do not fit together.
    """
    card = card_of(bundle, "classification") if bundle is not None else None
    if predictions is not None:
        answers = _read_answers(predictions, card, index, images)
    elif bundle is not None and card is not None:
        answers = _compute_answers(load_predictor(bundle, device, "fp32"), index, images, on_image)
    else:
        what = "neither a bundle nor predictions are given"
        raise EvaluationError(what, "Give --bundle or --predictions.")
    labels, patients = np.array(answers.rows.labels), np.array(answers.rows.patients)
    totals, commonest = figures_of_classes(labels, answers.probabilities, patients)
    return record(
        "classification",
        f"Patches as the index lists them; {CLASSIFICATION_MEASURES}",
        bundle=describe(card) if card else None,
        predictions=describe_file(predictions) if predictions else None,
        classes=answers.classes,
        patients_trained_on=trained_on(card, answers.rows.patients),
        images=answers.by_image,
        skipped=answers.skipped,
        totals=totals,
        baseline={"method": "always the commonest class", **commonest},
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """What was said about which patches."""

    rows: LabelledFiles
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    skipped: list[Skipped]

    @property
    def by_image(self) -> list[dict[str, Any]]:
        """The patches one by one, for the record."""
        columns = (self.rows.files, self.rows.patients, self.rows.labels, self.probabilities.tolist())
        return [
            {"file": file, "patient": patient, "label": self.classes[label], "probabilities": values}
            for file, patient, label, values in zip(*columns, strict=True)
        ]


def _read_answers(predictions: Path, card: Card | None, index: Path, images: Path) -> _Answers:
    table = read_predictions(predictions, card.classes if card else None)
    rows = read_index(index, images, table.classes)
    return _Answers(rows, table.classes, match_predictions(predictions, table, rows.files), [])


def _compute_answers(predictor: Predictor, index: Path, images: Path, on_image: OnImage | None) -> _Answers:
    classes, field_px = predictor.card.classes or (), predictor.card.field_px or 0
    rows = read_index(index, images, classes)
    found = classify_files(predictor, [images / name for name in rows.files], field_px, on_image)
    skipped = [Skipped(rows.files[place], error.what) for place, error in found.skipped]
    return _Answers(rows.of(found.read), classes, found.probabilities, skipped)


def _distance(encoder: str) -> Distance:
    return partial(perceptual_distance, load_encoder(encoder))
