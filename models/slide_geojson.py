"""A slide and what was annotated on it: `slide.svs` beside `slide.geojson`, `slide.svs.geojson`, or either as `.gz`."""

from __future__ import annotations

from pathlib import Path

from models.errors import TrainingError

SUFFIXES = (".geojson", ".geojson.gz")


def pair_slides(path: Path) -> list[tuple[Path, Path]]:
    """Return the slides of a folder that have a GeoJSON, each with its own, or the one slide that `path` is.

    Raises
    ------
    TrainingError
        if there are none, or a GeoJSON has no slide, or a slide more than one.
    """
    folder = path.parent if path.is_file() else path
    files = [one for one in sorted(folder.glob("*.geojson*")) if one.name.endswith(SUFFIXES)]
    if path.is_file():
        files = [one for one in files if _stem(one) in (path.stem, path.name)]
    if not files:
        what = "no GeoJSON of the same stem beside it" if path.is_file() else "no *.geojson[.gz] in it"
        raise TrainingError.about(path, what, "Name a slide, or a folder of slides with theirs.")
    pairs = {path if path.is_file() else _slide_of(one): one for one in files}
    if len(pairs) < len(files):
        what = "not the only GeoJSON of its stem"
        raise TrainingError.about(next(one for one in files if one not in pairs.values()), what, "Keep one of them.")
    return list(pairs.items())


def _stem(geojson: Path) -> str:
    return geojson.name.removesuffix(".gz").removesuffix(".geojson")


def _slide_of(geojson: Path) -> Path:
    files = [one for one in sorted(geojson.parent.iterdir()) if one.is_file() and not one.name.endswith(SUFFIXES)]
    slides = [one for one in files if _stem(geojson) in (one.stem, one.name)]
    if len(slides) != 1:
        what = f"{len(slides)} slides called {_stem(geojson)} beside it"
        raise TrainingError.about(geojson, what, "Keep one slide of the same stem in the folder.")
    return slides[0]
