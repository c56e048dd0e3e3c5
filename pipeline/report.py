"""report.html: one page about one slide, whole in one file and made from the slide's folder alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import HistoloomError
from pipeline.heatmap_picture import Picture, encode, heat_scale
from pipeline.heatmap_report import DensitySection, MapSection, Shot, density_section, map_sections, top_shots
from pipeline.heatmap_summary import ClassArea
from pipeline.page import data_uri, render, write_if_changed
from pipeline.record import Record, plain
from pipeline.report_facts import Row, cards, facts, nuclei_facts, rounded
from pipeline.report_nuclei import sizes, sureness
from pipeline.report_provenance import networks, provenance
from pipeline.report_qc import consistency_section, figures, findings, flags_picture, layer_pictures
from pipeline.report_time import stage_times, time_plot
from pipeline.scene import Scene, open_scene
from pipeline.summary import ClassShare, summarise_patches
from pipeline.thumbnail_file import UNREADABLE

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class _ClassRow:
    """One class of a classifier, as far as a map, patches or both tell of it."""

    label: str
    area: ClassArea | None
    largest: str
    """The size and place of its largest focus; empty where there is none."""
    patches: ClassShare | None


@dataclass(frozen=True, slots=True)
class _HeatSection:
    """What one classifier found."""

    classifier: str
    map: MapSection | None
    classes: list[_ClassRow]
    shots: list[tuple[str, list[Shot]]]


@dataclass(slots=True)
class _Folder:
    """What could be read from the folder; what could not is a note instead of a gap nobody sees."""

    path: Path
    run: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    scene: Scene | None = None
    opened: bool = False

    def attempt(self, what: str, make: Callable[[], _Made]) -> _Made | None:
        """The part of the page that `make` gives; None, and a note, where a file is missing or broken."""
        try:
            return make()
        except (HistoloomError, *UNREADABLE, LookupError, TypeError, RuntimeError) as error:
            self.notes.append(f"{what} cannot be shown: {plain(error)}")
            return None

    def table(self, name: str, what: str, read: Callable[[Path], _Made | None]) -> _Made | None:
        """What a table says; None where there is no such table."""
        path = self.path / name
        return self.attempt(what, lambda: read(path)) if path.exists() else None

    def stored(self, what: str, read: Callable[[Scene], _Made | None]) -> _Made | None:
        """What the store says; None without a store, which is one note and not one for every part of the page."""
        if self.scene is None and not self.opened:
            self.opened = True
            self.scene = self.attempt("The store", lambda: open_scene(self.path, self.run))
        scene = self.scene
        return self.attempt(what, lambda: read(scene)) if scene else None


def write_slide_report(folder: Path, run: Mapping[str, Any], drawn: NDArray[np.uint8] | None = None) -> Path:
    """Write `folder`/report.html about the results in `folder`, which `run` (the content of run.json) tells about.

    `drawn` are the pixels of preview.png, where it is not written yet.
    """
    record, found = Record(run), _Folder(folder, run)
    preview, stages = found.attempt("The preview", lambda: _preview(folder, drawn)), stage_times(record)
    page = render(
        "slide.html",
        name=plain(folder.name),
        cards=cards(record),
        facts=facts(record),
        preview=preview,
        legend=_legend(found, record) if preview else [],
        warnings=record.texts("warnings"),
        findings=findings(record),
        qc_figures=figures(record),
        qc_mode=record.text("qc", "mode"),
        flags=found.stored("The map of flags", flags_picture),
        qc_pictures=found.stored("Layers of quality control", layer_pictures) or [],
        **_nuclei(found, record),
        density=_density(found),
        heats=_heat_sections(found),
        scale=data_uri(encode(heat_scale(256), "PNG"), "image/png"),
        consistency=found.stored("The consistency map", consistency_section),
        stages=stages,
        rounded=rounded,
        times=time_plot(stages, "times", "How long each stage took."),
        networks=networks(record),
        provenance=provenance(record),
        notes=found.notes,
        version=record.text("histoloom"),
    )
    path = folder / "report.html"
    write_if_changed(path, page)
    return path


def _preview(folder: Path, drawn: NDArray[np.uint8] | None) -> Picture:
    """preview.png as a JPEG, a quarter of its size."""
    pixels = _pixels(folder / "preview.png") if drawn is None else drawn
    alt = "The whole slide with what was found on it, and a close look at the place richest in nuclei."
    return Picture.of(pixels, alt)


def _pixels(picture: Path) -> NDArray[np.uint8]:
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def _legend(found: _Folder, record: Record) -> list[str]:
    """What the preview's lines and colours mean, in words."""
    told = ["On the whole slide, the black frame is the place of the close look."]
    if record.at("plan", "settings", "tissue") == "all":
        told.append("All of the slide was worked on.")
    elif record.number("tissue", "area_mm2") is not None:
        told.append("The green line goes round what counts as tissue; nothing outside it was worked on.")
    if record.members("counts", "patches"):
        told.append(
            "Colours are the probability of a classifier's class: blue where it is 0, yellow at a half, red at 1."
        )
    if (found.path / "nuclei.parquet").is_file():
        told.append("In the close look, yellow lines are the outlines of nuclei.")
    return told


def _nuclei(found: _Folder, record: Record) -> dict[str, Any]:
    """The parts of the page about nuclei."""
    spreads = {
        "How large they are": found.table("nuclei.parquet", "The areas of nuclei", sizes),
        "How sure the network was": found.table("nuclei.parquet", "The probabilities of nuclei", sureness),
    }
    told = {heading: spread for heading, spread in spreads.items() if spread}
    rows: list[Row] = [*nuclei_facts(record), *(row for spread in told.values() for row in spread.facts)]
    return {"nuclei_facts": rows, "nuclei_plots": [(heading, spread.plot) for heading, spread in told.items()]}


def _density(found: _Folder) -> DensitySection | None:
    if not (found.path / "nuclei.parquet").exists():
        return None
    return found.stored("The density of nuclei", density_section)


def _heat_sections(found: _Folder) -> list[_HeatSection]:
    """One section a classifier, whether a map, patches or both tell of it."""
    shares = found.table("patches.parquet", "Patches", summarise_patches) or {}
    maps = found.stored("Heat maps", map_sections) or {}
    shots = found.stored("The surest patches", top_shots) if maps else {}
    sections = []
    for name in sorted(maps.keys() | (shares.keys() - {plain(name) for name in maps})):
        section, words = maps.get(name), plain(name)
        classes = _classes(section, shares.get(words, []))
        sections.append(_HeatSection(words, section, classes, (shots or {}).get(name, [])))
    return sections


def _classes(section: MapSection | None, shares: list[ClassShare]) -> list[_ClassRow]:
    """Of every class its name, its area and its patches."""
    by_label = {share.label: share for share in shares}
    areas = {plain(area.label): area for area in (section.areas if section else ())}
    places = section.places if section else {}
    return [
        _ClassRow(label, areas.get(label), places.get(label, ""), by_label.get(label)) for label in areas | by_label
    ]
