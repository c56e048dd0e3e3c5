"""report.html: one page about one slide, whole in one file and made from the slide's folder alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from pipeline.errors import HistoloomError
from pipeline.heatmap_picture import Picture, encode, heat_scale
from pipeline.heatmap_report import DensitySection, MapSection, Shot, density_section, map_sections, top_shots
from pipeline.heatmap_summary import ClassArea
from pipeline.page import data_uri, render, write_if_changed
from pipeline.record import Record, number, plain
from pipeline.scene import open_scene
from pipeline.store import SlideStore
from pipeline.summary import (
    Areas,
    ClassShare,
    Consistency,
    summarise_areas,
    summarise_consistency,
    summarise_patches,
)

Row = tuple[str, str]
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class _Card:
    """A figure that is read first."""

    value: str
    unit: str
    label: str


@dataclass(frozen=True, slots=True)
class _HeatSection:
    """What one classifier found, as far as a map, patches or both tell of it."""

    classifier: str
    map: MapSection | None
    classes: list[tuple[str, ClassArea | None, ClassShare | None]]
    shots: list[tuple[str, list[Shot]]]


@dataclass(frozen=True, slots=True)
class _Timing:
    """One stage's time."""

    stage: str
    tiles: str
    megapixels: str
    seconds: str
    share: float
    """Of all stages, in percent."""


@dataclass(slots=True)
class _Findings:
    """What could be read from the folder; what could not is a note instead of a gap nobody sees."""

    folder: Path
    run: Mapping[str, Any]
    notes: list[str]

    def attempt(self, what: str, make: Callable[[], _Made]) -> _Made | None:
        """The part of the page that `make` gives; None, and a note, where a file is missing or broken."""
        try:
            return make()
        except (HistoloomError, OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
            self.notes.append(f"{what} cannot be shown: {plain(error)}")
            return None


def write_slide_report(folder: Path, run: Mapping[str, Any]) -> Path:
    """Write `folder`/report.html about the results in `folder`, which `run` (the content of run.json) tells about."""
    record = Record(run)
    found = _Findings(folder, run, [])
    preview, areas, scale = found.attempt("The preview", lambda: _preview(folder)), _areas(found), heat_scale(256)
    page = render(
        "slide.html",
        name=plain(folder.name),
        cards=_cards(record),
        facts=_facts(record),
        preview=preview,
        areas=areas,
        bars=_bars(areas) if areas else None,
        density=_density_map(found),
        heats=_heat_sections(found),
        scale=data_uri(encode(scale, "PNG"), "image/png"),
        consistency=_consistency(found),
        timings=_timings(record),
        provenance=_provenance(record),
        warnings=record.texts("warnings"),
        notes=found.notes,
        version=record.text("histoloom"),
    )
    path = folder / "report.html"
    write_if_changed(path, page)
    return path


def _preview(folder: Path) -> Picture:
    """preview.png as a JPEG, a quarter of its size."""
    with Image.open(folder / "preview.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    alt = "The whole slide with what was found on it, and a close look at the place richest in nuclei."
    return Picture.of(pixels, alt)


def _cards(record: Record) -> list[_Card]:
    tissue_mm2, nuclei = record.number("tissue", "area_mm2"), record.count("counts", "nuclei")
    mpp, seconds = record.number("resolution", "level0", "mpp"), record.number("timings", "seconds")
    density = nuclei_per_mm2(record)
    cards = [
        _Card(f"{nuclei:,}", "", "nuclei") if nuclei is not None else None,
        _Card(f"{density:,.0f}", "per mm²", "density of nuclei in tissue") if density is not None else None,
        _Card(f"{tissue_mm2:,.3g}", "mm²", "tissue") if tissue_mm2 is not None else None,
        _Card(f"{mpp:.3g}", "µm/px", "as scanned") if mpp is not None else None,
        _Card(duration(seconds), "", "computed in") if seconds is not None else None,
    ]
    return [card for card in cards if card]


def nuclei_per_mm2(record: Record) -> float | None:
    """Nuclei over the area of tissue; None where either is missing or there is no tissue."""
    nuclei, tissue_mm2 = record.count("counts", "nuclei"), record.number("tissue", "area_mm2")
    return number(nuclei / tissue_mm2) if nuclei is not None and tissue_mm2 is not None and tissue_mm2 > 0 else None


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _facts(record: Record) -> list[Row]:
    level0, base = record.frame("resolution", "level0"), record.frame("resolution", "base")
    share, area_mm2 = record.number("tissue", "share"), record.number("tissue", "area_mm2")
    density, peak = nuclei_per_mm2(record), record.number("peak_rss_bytes")
    nuclei, source = record.count("counts", "nuclei"), record.text("resolution", "mpp_source")
    facts: list[tuple[str, str | None]] = [("File", record.text("input", "path", limit=500))]
    if level0:
        mm = (level0.width * level0.mpp / 1000, level0.height * level0.mpp / 1000)
        facts.append(("Size", f"{level0.width:,} × {level0.height:,} px, {mm[0]:.3g} × {mm[1]:.3g} mm"))
        facts.append(("Scanned at", f"{level0.mpp:.4g} µm/px" + (f", says {source}" if source else "")))
    objective = record.number("input", "objective")
    facts.append(("Objective", f"{objective:g}×" if objective is not None else None))
    if base:
        facts.append(("Read at", f"{base.mpp:.4g} µm/px, {record.text('resolution', 'base_from')}".rstrip(", ")))
    facts.append(("Super-resolved", _super_resolution(record)))
    if area_mm2 is not None:
        of = f", {share:.1%} of the slide" if share is not None else ""
        facts.append(("Tissue", f"{area_mm2:,.4g} mm²{of}"))
    if nuclei is not None:
        facts.append(("Nuclei", f"{nuclei:,}" + (f", {density:,.0f} per mm² of tissue" if density is not None else "")))
    facts.append(("Density of nuclei", _density(record)))
    for name, count in record.members("counts", "patches").items():
        if number(count) is not None:
            facts.append((f"Patches judged by {plain(name, 60)}", f"{count:,}"))
    facts.append(("Most memory", f"{peak / 2**30:.2f} GiB" if peak is not None else None))
    facts.append(("Finished", record.text("finished")))
    return [(label, value) for label, value in facts if value]


def _density(record: Record) -> str | None:
    median, p95 = (record.number("nuclei_density", f"{name}_per_mm2") for name in ("median", "p95"))
    sigma_um = record.number("nuclei_density", "sigma_um")
    if median is None or p95 is None or sigma_um is None:
        return None
    return f"median {median:,.0f} per mm², 95 % of tissue at most {p95:,.0f} per mm², smoothed over {sigma_um:g} µm"


def _super_resolution(record: Record) -> str | None:
    mpp, factor = record.number("resolution", "super_resolved_mpp"), record.number("resolution", "factor")
    if mpp is None:
        return "no" if factor is not None else None
    times = f"×{factor:g} " if factor is not None else ""
    return f"{times}to {mpp:.4g} µm/px: finer detail than was read is estimated, not measured"


def _areas(found: _Findings) -> Areas | None:
    path = found.folder / "nuclei.parquet"
    return found.attempt("The areas of nuclei", lambda: summarise_areas(path)) if path.exists() else None


def _bars(areas: Areas) -> list[dict[str, float]]:
    """Bars of a histogram inside 0..100 x 0..100, y down."""
    width, most = 100 / len(areas.bars), max(areas.bars)
    return [
        {"x": round(index * width, 3), "width": round(width * 0.9, 3), "height": round(100 * count / most, 3),
         "start_um2": index * areas.bar_um2, "count": count}
        for index, count in enumerate(areas.bars)
    ]  # fmt: skip


def _density_map(found: _Findings) -> DensitySection | None:
    if not (found.folder / "nuclei.parquet").exists():
        return None
    return found.attempt("The density of nuclei", lambda: density_section(open_scene(found.folder, found.run)))


def _heat_sections(found: _Findings) -> list[_HeatSection]:
    """One section a classifier, whether a map, patches or both tell of it."""
    patches = found.folder / "patches.parquet"
    shares = (found.attempt("Patches", lambda: summarise_patches(patches)) if patches.exists() else None) or {}
    maps = found.attempt("Heat maps", lambda: map_sections(open_scene(found.folder, found.run))) or {}
    shots = found.attempt("The surest patches", lambda: top_shots(open_scene(found.folder, found.run))) if maps else {}
    sections = []
    for name in sorted(maps.keys() | (shares.keys() - {plain(name) for name in maps})):
        section, words = maps.get(name), plain(name)
        classes = _classes(section, shares.get(words, []))
        sections.append(_HeatSection(words, section, classes, (shots or {}).get(name, [])))
    return sections


def _classes(
    section: MapSection | None, shares: list[ClassShare]
) -> list[tuple[str, ClassArea | None, ClassShare | None]]:
    """Of every class its name, its area and its patches."""
    by_label = {share.label: share for share in shares}
    areas = {plain(area.label): area for area in (section.areas if section else ())}
    return [(label, areas.get(label), by_label.get(label)) for label in areas | by_label]


def _consistency(found: _Findings) -> Consistency | None:
    return found.attempt("The consistency map", lambda: _read_consistency(found.folder))


def _read_consistency(folder: Path) -> Consistency | None:
    stores = [SlideStore(path) for path in sorted(folder.glob("*.ome.zarr"))[:1]]
    maps = [store.layer("qc/sr-consistency/0") for store in stores if store.has("qc/sr-consistency")]
    return summarise_consistency(maps[0]) if maps else None


def _timings(record: Record) -> list[_Timing]:
    stages = record.records("timings", "stages")
    total = sum(max(0.0, stage.number("seconds") or 0.0) for stage in stages)
    rows = []
    for stage in stages:
        seconds, tiles, megapixels = stage.number("seconds"), stage.count("tiles"), stage.number("megapixels")
        rows.append(
            _Timing(
                stage.text("name", limit=60),
                "" if tiles is None else f"{tiles:,}",
                "" if megapixels is None else f"{megapixels:,.1f}",
                "" if seconds is None else duration(seconds),
                round(100 * max(0.0, seconds or 0.0) / total, 2) if total else 0.0,
            )
        )
    return rows


def _provenance(record: Record) -> list[tuple[str, list[Row]]]:
    """Tables of names and values, each under a heading: all that is needed to make the results again."""
    tables = [
        ("Input", _rows(record.members("input"))),
        ("Networks", _bundles(record)),
        ("Settings", _rows(record.members("plan", "settings"))),
        ("Devices", _rows(record.members("devices"))),
        ("Versions", _rows({"histoloom": record.at("histoloom"), **record.members("versions")})),
    ]
    return [(heading, rows) for heading, rows in tables if rows]


def _bundles(record: Record) -> list[Row]:
    """Name and sha256 of the networks, whether listed by name or by what they are for."""
    rows = []
    for key, entry in record.members("plan", "bundles").items():
        listed = [item for item in entry if isinstance(item, Mapping)] if isinstance(entry, list) else []
        named = [(plain(item.get("name"), 80), plain(item.get("sha256"), 80)) for item in listed]
        rows += named if isinstance(entry, list) else [(plain(key, 80), plain(entry, 80))]
    return rows


def _rows(members: Mapping[str, Any]) -> list[Row]:
    """Names and values in words; what is nested is shown as JSON."""
    return [(plain(key, 80), _words(value)) for key, value in members.items() if value is not None]


def _words(value: object) -> str:
    if isinstance(value, Mapping) and all(isinstance(entry, str | int | float) for entry in value.values()):
        return plain(", ".join(f"{key} {entry}" for key, entry in value.items()), 500)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return plain(", ".join(value), 500)
    return plain(value if isinstance(value, str | int | float) else json.dumps(value, default=str), 500)
