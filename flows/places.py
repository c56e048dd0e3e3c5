"""What a run reads and where it writes, from the words that a person or a deployment gives: paths, globs and URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from flows.slide_names import is_slide_name
from flows.status import slide_states
from models.cache import own_cache
from pipeline.errors import ConfigError, StoreError
from pipeline.object_url import ObjectUrl, Place, parse_place
from pipeline.slide import slide_name
from pipeline.staging import Staging


def find_slides(patterns: Iterable[str]) -> tuple[Place, ...]:
    """The slides that paths, URLs, folders and globs name, each once, in the order given and by name within a folder.

    Raises
    ------
    ConfigError
        if there is none at all. A path that names no file is kept, so that it becomes a row with a reason.
    """
    found: dict[Place, None] = {}
    for pattern in patterns:
        place = parse_place(pattern)
        if isinstance(place, ObjectUrl):
            from pipeline.object_listing import find_objects

            found |= dict.fromkeys(find_objects(place, is_slide_name))
        elif place.is_dir():
            found |= dict.fromkeys(entry for entry in sorted(place.iterdir()) if is_slide_name(entry.name))
        elif place.exists() or not glob.has_magic(str(place)):
            found[place] = None
        else:
            matches = glob.glob(str(place), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            found |= dict.fromkeys(Path(match) for match in sorted(matches))
    if not found:
        msg = f"no slides at {', '.join(patterns)}"
        raise ConfigError(msg, "Name slide files, folders that hold some, or a glob such as 'slides/*.svs'.")
    return tuple(found)


def local_folder(text: str) -> Path:
    """A folder of this machine, or one that all see; ConfigError for a URL, which holds no book of what was seen."""
    place = parse_place(text)
    if not isinstance(place, Path):
        msg = f"{place}: a watch keeps its results, and the book of what it has seen, in a folder"
        raise ConfigError(msg, "Give a folder; `histoloom run` and the deployments cohort and slide write to URLs.")
    return place


def results_folder(place: Path) -> Path:
    """The folder that results went to, as it was named; StoreError where there is none."""
    if not place.is_dir():
        msg = f"{place}: is no folder"
        raise StoreError(msg, "Name the folder that results went to: the DIR of `histoloom run --out DIR`.")
    return place


def folder_with_results(place: Path) -> Path:
    """A folder that holds results, or word of slides that failed. Raises StoreError for any other: it is not ours."""
    if not slide_states(results_folder(place)):
        msg = f"{place}: holds no results of histoloom"
        raise StoreError(msg, "Name the folder that results went to: the DIR of `histoloom run --out DIR`.")
    return place


def place_name(place: Place) -> str:
    """What the slide at a place is called: the name of its folder of results."""
    return slide_name(place.name)


def staging_at(folder: Path | None = None, slides_gib: float | None = None, fetch: str | None = None) -> Staging:
    """Where slides of object stores lie while they are worked on, at most 100 GiB of them by default.

    The folder is `HISTOLOOM_STAGING`, where none is given; without that it is in the user's cache. Slides are fetched
    whole; with `parts`, or where `HISTOLOOM_FETCH` says so, only what is read of those of the TIFF family.

    Raises
    ------
    ConfigError
        for another word than these two
    """
    named = os.environ.get("HISTOLOOM_STAGING")
    chosen = folder or (Path(named) if named else own_cache())
    way = fetch or os.environ.get("HISTOLOOM_FETCH") or "whole"
    if way not in ("whole", "parts"):
        msg = f"slides can be fetched whole or in parts, not {way!r}"
        raise ConfigError(msg, "Give --fetch whole or --fetch parts (HISTOLOOM_FETCH likewise).")
    return Staging(chosen.expanduser().absolute(), 100.0 if slides_gib is None else slides_gib, way == "parts")
