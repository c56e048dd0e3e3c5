"""The layouts that patches come in: `kind` of a source of a training file, and what lists its labelled patches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from models.errors import TrainingError
from models.patches_annotations import list_annotations
from models.patches_breakhis import MAGNIFICATION_MPP, list_breakhis
from models.patches_ddsm import CROPPED, list_ddsm
from models.patches_examples import Patch, PatchRequest
from models.patches_folders import list_folders
from models.patches_idc import list_idc
from models.patches_index import list_files
from models.patches_mias import list_mias
from models.patches_pcam import list_pcam
from models.patches_sheets import list_sheets

LAYOUTS: dict[str, Callable[[PatchRequest], list[Patch]]] = {
    "files": list_files,
    "sheets": list_sheets,
    "folders": list_folders,
    "breakhis": list_breakhis,
    **{f"breakhis-{one}x": partial(list_breakhis, magnification=one) for one in MAGNIFICATION_MPP},
    "idc": list_idc,
    "pcam": list_pcam,
    "mias": list_mias,
    "ddsm": list_ddsm,
    "ddsm-cropped": partial(list_ddsm, column=CROPPED),
    "annotations": list_annotations,
}


def list_patches(request: PatchRequest) -> list[Patch]:
    """Return the labelled patches of a source, unread.

    Raises
    ------
    TrainingError
        if there is no such kind, the files are not laid out as it says, or nothing comes of them.
    """
    source = request.source
    if source.kind not in LAYOUTS:
        what = f"{source.name}: no kind {source.kind!r} of patches"
        raise TrainingError(what, f"Take one of {', '.join(LAYOUTS)}.")
    if source.slide_mpp is not None and source.kind != "annotations":
        what = f"{source.name}: slide_mpp is a slide's, and kind {source.kind!r} reads images"
        raise TrainingError(what, "Say mpp instead: the um per px of the images.")
    patches = LAYOUTS[source.kind](request)
    if not patches:
        raise TrainingError.about(request.path, "no patches in it", "Correct the source's path, or its `kind`.")
    return patches
