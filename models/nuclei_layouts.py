"""The layouts that nuclei come in: `kind` of a source of a training file, and what lists its labelled images."""

from __future__ import annotations

from collections.abc import Callable

from models.errors import TrainingError
from models.nuclei_aperio import list_monuseg
from models.nuclei_consep import list_consep
from models.nuclei_examples import Example, Request
from models.nuclei_folders import list_instances, list_masks
from models.nuclei_geojson import list_geojson
from models.nuclei_pannuke import list_pannuke

LAYOUTS: dict[str, Callable[[Request], list[Example]]] = {
    "instances": list_instances,
    "masks": list_masks,
    "monuseg": list_monuseg,
    "consep": list_consep,
    "pannuke": list_pannuke,
    "geojson": list_geojson,
}


def list_examples(request: Request) -> list[Example]:
    """Return the labelled images of a source, unread.

    Raises
    ------
    TrainingError
        if there is no such kind, or the files are not laid out as it says.
    """
    source = request.source
    if source.kind not in LAYOUTS:
        what = f"{source.name}: no kind {source.kind!r} of nuclei"
        raise TrainingError(what, f"Take one of {', '.join(LAYOUTS)}.")
    if source.slide_mpp is not None and source.kind != "geojson":
        what = f"{source.name}: slide_mpp is a slide's, and kind {source.kind!r} reads images"
        raise TrainingError(what, "Say mpp instead: the um per px of the images.")
    return LAYOUTS[source.kind](request)
