"""What a super-resolver is worth on a user's own images, as a dictionary that JSON takes as it is.

It holds the protocol in words, who was measured, every image's own figures, the totals beside those of interpolation,
what was skipped and why, and the versions that computed it. Networks compute in fp32.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from flows.evaluation_record import Result, record
from flows.evaluation_subject import describe, trained_on
from flows.image_by_image import OnImage, judge_each
from models.coarse_scan import BICUBIC, enlarger_of
from models.errors import EvaluationError
from models.evaluate_super_resolution import (
    SUPER_RESOLUTION_MEASURES,
    Distance,
    Judgement,
    judge_pair,
    summarise,
)
from models.evaluation_images import decode_pair, files_of
from models.perceptual import load_encoder, perceptual_distance

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


def _distance(encoder: str) -> Distance:
    return partial(perceptual_distance, load_encoder(encoder))
