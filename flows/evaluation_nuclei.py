"""What a nuclei network is worth on a user's own images, as they are or as a coarser scan would have shown them.

The record holds the protocol in words, every image's own figures, the totals beside those of finding nothing, over all
images and by organ, with intervals over patients. Networks compute in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flows.evaluation_record import Result, record
from flows.evaluation_subject import card_of, describe, trained_on
from flows.image_by_image import OnImage, judge_each
from models.card import Card
from models.coarse_scan import BICUBIC, enlarger_of, scan_coarser
from models.data import patient_of
from models.errors import EvaluationError
from models.evaluate_nuclei import (
    INTERVALS,
    NUCLEI_PROTOCOL,
    Judgement,
    judge_instances,
    judge_nothing,
    summarise_by_organ,
    totals,
)
from models.evaluation_images import decode_labelled, files_of, labels_beside
from models.instances import InstanceStep
from models.nuclei_image import LabelledImage
from models.organs import organs_of, read_organs
from models.predict import load_predictor
from models.train_config import from_table
from models.whole_image import predict_whole

FACTORS = (2, 4)


@dataclass(frozen=True, slots=True)
class _Scan:
    """How the image comes to be what the network sees."""

    words: str
    see: Callable[[LabelledImage], LabelledImage]
    facts: dict[str, Any] | None
    """For the record; None where the image is taken as it is."""
    enlarger: Card | None = None
    """Of the super-resolution that enlarges the image, if one does."""


def evaluate_nuclei(  # noqa: PLR0913 - the options of a command
    bundle: str,
    images: Path,
    labels: Path,
    *,
    patient: str = "(.+)",
    organs: Path | None = None,
    degrade: int | None = None,
    sr: str | None = None,
    views: int = 1,
    device: str = "auto",
    on_image: OnImage | None = None,
) -> Result:
    """Measure a bundle on a folder of images at its um per px, with instance labels of the same stems beside them.

    Parameters
    ----------
    patient
        Regular expression whose first group is the patient in a file's stem; by default every image is a patient.
    organs
        CSV with the columns `image` and `organ`: figures are summed up by organ, too.
    degrade
        2 or 4: the images are reduced by so much and enlarged again before they are segmented; the labels stay.
    sr
        What enlarges them: a super-resolution bundle of that scale, or `bicubic` (the default).
    views
        Mirrored views that the network answers from, as a mean: 1, 2 or 4.

    Raises
    ------
    ModelError
        if the bundle does not segment nuclei, labels or organs are missing, labels have another size, the
        super-resolution another scale, or no image can be judged.
    """
    card = card_of(bundle, "nuclei")
    step = from_table(InstanceStep, card.postprocessing, card.name)
    scan = _scan(degrade, sr, device)
    files = files_of(images)
    beside = labels_beside(labels, files)
    labelled = [path.name for path in files if beside[path].is_file()]
    organ_of = organs_of(labelled, read_organs(organs), organs) if organs else {}
    predictor = load_predictor(bundle, device, "fp32", views=views)

    def judge(path: Path) -> Judgement:
        one = scan.see(decode_labelled(path, beside[path]))
        found = step(predict_whole(predictor, one.image))
        whose = patient_of(path.stem, patient)
        figures = judge_instances(one, found, mpp=card.mpp)
        return Judgement(path.name, whose, organ_of.get(path.name, ""), figures, judge_nothing(one, mpp=card.mpp))

    judged, skipped = judge_each(files, judge, on_image)
    judgements = list(judged.values())
    patients = {one.patient for one in judgements}
    method, nothing = totals(judgements)
    return record(
        "nuclei",
        f"{scan.words}{NUCLEI_PROTOCOL}; {INTERVALS}",
        bundle=describe(card),
        mpp=card.mpp,
        degrade=scan.facts,
        views=views,
        instances=dict(step.as_dict()),
        patients_trained_on=sorted({*trained_on(card, patients), *trained_on(scan.enlarger, patients)}),
        images=[_image(one) for one in judgements],
        skipped=skipped,
        totals=method,
        baseline={"method": "all background", **nothing},
        organs=summarise_by_organ(judgements) if organs else None,
    )


def _image(one: Judgement) -> dict[str, Any]:
    organ = {"organ": one.organ} if one.organ else {}
    return {"file": one.name, "patient": one.patient, **organ, "figures": one.method, "baseline": one.nothing}


def _scan(factor: int | None, sr: str | None, device: str) -> _Scan:
    """Return how images are made coarser and enlarged again, if they are.

    Raises
    ------
    EvaluationError
        if there is no such factor, nothing to enlarge, or a bundle of another scale.
    """
    if factor is None:
        if sr is not None:
            what = f"--sr {sr} has nothing to enlarge: the images are at the network's resolution"
            raise EvaluationError(what, "Add --degrade 2 or 4, or leave --sr out.")
        return _Scan("", lambda one: one, None)
    if factor not in FACTORS:
        what = f"images are not reduced by {factor}"
        raise EvaluationError(what, f"Give --degrade {' or '.join(map(str, FACTORS))}.")
    enlarger = enlarger_of(sr or BICUBIC, factor, device=device, precision="fp32")
    name = enlarger.card.name if enlarger.card else "bicubic interpolation"
    return _Scan(
        f"Images reduced {factor}:1 by antialiased bicubic (Pillow), rounded to 8 bits and enlarged again by {name}, "
        "judged by the labels of the original; ",
        partial(scan_coarser, factor=factor, enlarge=enlarger.enlarge),
        {
            "factor": factor,
            "enlarged_by": describe(enlarger.card) if enlarger.card else {"name": BICUBIC, "sha256": None},
        },
        enlarger.card,
    )
