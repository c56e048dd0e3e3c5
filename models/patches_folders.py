"""A folder for each class, named like it or by its index, with its images in it or in folders below."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from models.data import IMAGE_SUFFIXES
from models.errors import TrainingError
from models.patches_examples import Patch, PatchRequest
from models.patches_image import read_rgb

SUFFIXES = (*IMAGE_SUFFIXES, ".pgm")


def list_folders(request: PatchRequest) -> list[Patch]:
    """Return the images below a folder for each class; whose one is, its path below the class's folder says.

    Raises
    ------
    TrainingError
        if there is no such folder, or no folder in it.
    """
    try:
        folders = [one for one in sorted(request.path.iterdir()) if one.is_dir() and not _is_hidden(one)]
    except OSError as error:
        raise TrainingError.about(request.path, f"cannot be read ({error})", "Correct the source's path.") from error
    if not folders:
        cure = f"Give it a folder for each class: {', '.join(request.classes)}."
        raise TrainingError.about(request.path, "no folders in it", cure)
    return [_patch(path, folder, request.source.mpp) for folder in folders for path in images_below(folder)]


def images_below(folder: Path) -> list[Path]:
    """Return the images in a folder and in all folders below it, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in files if not any(_is_hidden(Path(part)) for part in path.relative_to(folder).parts)]


def _is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, or one of the doubles that macOS puts into archives."""
    return path.name.startswith((".", "__MACOSX"))


def _patch(path: Path, folder: Path, mpp: float | None) -> Patch:
    group = path.relative_to(folder).with_suffix("").as_posix()
    return Patch(str(path), group, (folder.name,), partial(read_rgb, path), mpp)
