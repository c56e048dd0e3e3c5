"""Which files are taken for slides, by their names alone."""

from __future__ import annotations

from pathlib import Path

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
_SLIDES = {
    ".svs",
    ".tif",
    ".tiff",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".vms",
    ".vmu",
    ".bif",
    ".svslide",
    ".dcm",
    ".czi",
    ".vsi",
}


def is_slide_name(name: str) -> bool:
    """Whether a file of this name is taken for a slide where a folder of them is named."""
    return Path(name).suffix.lower() in _SLIDES | _PICTURES
