"""MoNuSeg as published (Kumar et al. 2017 and 2020): TIFF images, and Aperio ImageScope's XML of the same stem.

`Annotations/Annotation/Regions/Region/Vertices/Vertex` with X and Y in px of the image; every region of every
annotation is a nucleus. One patient an image, whose id is the first 12 letters of the name: `patient = "(.{12})"`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from models.data import IMAGE_SUFFIXES, UNDECODABLE
from models.errors import TrainingError
from models.nuclei_examples import Example, Request
from models.nuclei_image import LabelledImage, read_rgb
from models.nuclei_outlines import Outlines, Ring, draw, mend, refuse_elsewhere

_CURE = "Export the annotations from ImageScope again, or take the image out."
_EXCLUDED = "1"
"""NegativeROA of a region that is cut out of another, and no nucleus."""


@dataclass(frozen=True, slots=True)
class AperioAnnotations:
    """What an ImageScope file says."""

    outlines: Outlines
    mpp: float | None
    """um per px of the image, where the file states it."""


def list_monuseg(request: Request) -> list[Example]:
    """Return the images of a folder with their XML, in the same or in other folders below it, by stem.

    The training set has `Tissue Images` beside `Annotations`, the test set keeps both in one folder.

    Raises
    ------
    TrainingError
        if there are no images, two share a stem, or one has no readable XML.
    """
    files = [path for path in sorted(request.path.rglob("*")) if _is_visible(path.relative_to(request.path))]
    images = _by_stem([path for path in files if path.suffix.lower() in IMAGE_SUFFIXES])
    annotations = _by_stem([path for path in files if path.suffix.lower() == ".xml"])
    if not images:
        what = f"holds no images ({', '.join(IMAGE_SUFFIXES)})"
        raise TrainingError.about(request.path, what, "Give the folder that the set unpacks to.")
    absent = [path.name for stem, path in images.items() if stem not in annotations]
    if absent:
        what = f"{len(absent)} images have no XML ({', '.join(absent[:5])})"
        raise TrainingError.about(request.path, what, "Give every image an ImageScope XML of the same stem.")
    return [_example(path, annotations[stem], request.source.mpp) for stem, path in images.items()]


def _is_visible(path: Path) -> bool:
    """Whether a path is none of the doubles that macOS puts into archives."""
    return not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise TrainingError.about(path, f"has the stem of {found[path.stem]}", "Take one of the two out.")
        found[path.stem] = path
    return found


def _example(image: Path, xml: Path, mpp: float | None) -> Example:
    annotations = read_aperio(xml)
    annotations.outlines.report(xml)
    read = partial(_read, image, xml, annotations.outlines)
    return Example(image.stem, image.stem, read, mpp or annotations.mpp)


def _read(path: Path, xml: Path, outlines: Outlines) -> LabelledImage:
    image = read_rgb(path)
    height, width = image.shape[:2]
    refuse_elsewhere(outlines, (height, width), xml, path.name)
    return LabelledImage(path.stem, image, draw(outlines.nuclei, (height, width)), instances=True)


def read_aperio(path: Path) -> AperioAnnotations:
    """Return the regions of an ImageScope file, mended, in px of the image.

    Raises
    ------
    TrainingError
        if it is no such file, or a coordinate is no number.
    """
    try:
        root = ElementTree.parse(path).getroot()
        outlines = mend([ring] for ring in _rings(root))
        stated_mpp = float(root.get("MicronsPerPixel", "0"))
    except (*UNDECODABLE, TypeError) as error:
        raise TrainingError.about(path, f"no readable ImageScope annotations ({error})", _CURE) from error
    if root.tag != "Annotations":
        raise TrainingError.about(path, f"XML of <{root.tag}>, where <Annotations> is wanted", _CURE)
    return AperioAnnotations(outlines, stated_mpp or None)


def _rings(root: ElementTree.Element) -> Iterator[Ring]:
    """Give the corners (n, 2), x before y, of every region that is not cut out of another."""
    for region in root.iterfind("./Annotation/Regions/Region"):
        if region.get("NegativeROA") != _EXCLUDED:
            corners = [(vertex.get("X", ""), vertex.get("Y", "")) for vertex in region.iterfind("./Vertices/Vertex")]
            yield np.array(corners, dtype=np.float64).reshape(-1, 2)
