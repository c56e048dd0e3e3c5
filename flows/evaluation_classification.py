"""What a classifier is worth on a user's own patches, patch by patch and patient by patient.

The record holds the protocol in words, every patch's and every patient's own answer, the totals beside those of always
saying the commonest class, with intervals over patients, and the figures of each class. Networks compute in fp32.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.evaluation_record import Result, record
from flows.evaluation_subject import card_of, describe, describe_file, trained_on
from flows.image_by_image import OnImage, Skipped
from models.card import Card
from models.classify_files import classify_files
from models.errors import EvaluationError
from models.evaluate_classification import CLASSIFICATION_MEASURES, evaluate_classes
from models.evaluate_classification import evaluate_classification as figures_of_classes
from models.evaluation_index import PREFIX, LabelledFiles, match_predictions, read_index, read_predictions
from models.metrics_classes import by_patient
from models.predict import Predictor, load_predictor


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
        The folder that the files, or the sheets, of the index lie in.
    index
        CSV with the columns `file` (or `sheet`, `row`, `column`), `patient`, `label`.
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
        patients=answers.by_patient,
        skipped=answers.skipped,
        totals=totals,
        by_class=evaluate_classes(labels, answers.probabilities, answers.classes),
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

    @property
    def by_patient(self) -> list[dict[str, Any]]:
        """The patients one by one, for the record."""
        one = by_patient(np.array(self.rows.labels), self.probabilities, np.array(self.rows.patients))
        columns = (one.patients.tolist(), one.labels, one.patches.tolist(), one.right.tolist())
        return [
            {"patient": name, "label": self.classes[label], "patches": patches, "right": right, "probabilities": values}
            for name, label, patches, right, values in zip(*columns, one.probabilities.tolist(), strict=True)
        ]


def _read_answers(predictions: Path, card: Card | None, index: Path, images: Path) -> _Answers:
    table = read_predictions(predictions, card.classes if card else None)
    rows = read_index(index, images, table.classes)
    return _Answers(rows, table.classes, match_predictions(predictions, table, rows.files), [])


def _compute_answers(predictor: Predictor, index: Path, images: Path, on_image: OnImage | None) -> _Answers:
    classes, field_px = predictor.card.classes or (), predictor.card.field_px or 0
    rows = read_index(index, images, classes)
    found = classify_files(predictor, rows.places, field_px, on_image)
    skipped = [Skipped(rows.files[place], error.what) for place, error in found.skipped]
    return _Answers(rows.of(found.read), classes, found.probabilities, skipped)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> None:
    """Write a record's `images` or `patients` as CSV: a row each, the class that was said, `p_<class>` a column each.

    Raises
    ------
    EvaluationError
        if the file cannot be written.
    """
    facts = [name for name in rows[0] if name != "probabilities"]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow([*facts, "predicted", *(f"{PREFIX}{name}" for name in classes)])
            for row in rows:
                values = row["probabilities"]
                table.writerow([*(row[name] for name in facts), classes[values.index(max(values))], *values])
    except OSError as error:
        raise EvaluationError.about(path, f"cannot be written ({error})", "Name another file.") from error
