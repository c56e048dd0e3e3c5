"""The slide in figures and words, as pages say it; all of it from `run.json`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from pipeline.record import Record, number, plain

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Card:
    """A figure that is read first."""

    value: str
    unit: str
    label: str


def cards(record: Record) -> list[Card]:
    """The figures that are read first, as far as they are known."""
    tissue_mm2, nuclei = record.number("tissue", "area_mm2"), record.count("counts", "nuclei")
    mpp, seconds = record.number("resolution", "level0", "mpp"), record.number("timings", "seconds")
    density = nuclei_per_mm2(record)
    found = [
        Card(f"{nuclei:,}", "", "nucleus" if nuclei == 1 else "nuclei") if nuclei is not None else None,
        Card(f"{density:,.0f}", "per mm²", "density of nuclei in tissue") if density is not None else None,
        Card(rounded(tissue_mm2, 3), "mm²", "tissue") if tissue_mm2 is not None else None,
        Card(f"{mpp:.3g}", "µm/px", "as scanned") if mpp is not None else None,
        Card(duration(seconds), "", "computed in") if seconds is not None else None,
    ]
    return [card for card in found if card]


def nuclei_per_mm2(record: Record) -> float | None:
    """Nuclei over the area of tissue; None where either is missing or there is no tissue."""
    nuclei, tissue_mm2 = record.count("counts", "nuclei"), record.number("tissue", "area_mm2")
    return number(nuclei / tissue_mm2) if nuclei is not None and tissue_mm2 is not None and tissue_mm2 > 0 else None


def rounded(value: float, digits: int) -> str:
    """A number to so many digits and without an exponent: 0.0123, 1,520, 152,345."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def facts(record: Record) -> list[Row]:
    """Where the slide is from, at which resolution it was read, and what was found, in words."""
    level0, base = record.frame("resolution", "level0"), record.frame("resolution", "base")
    peak, source = record.number("peak_rss_bytes"), record.text("resolution", "mpp_source")
    found: list[tuple[str, str | None]] = [("File", record.text("input", "path", limit=500))]
    if level0:
        mm = (level0.width * level0.mpp / 1000, level0.height * level0.mpp / 1000)
        found.append(("Size", f"{level0.width:,} × {level0.height:,} px, {rounded(mm[0], 3)} × {rounded(mm[1], 3)} mm"))
        found.append(("Scanned at", f"{level0.mpp:.4g} µm/px" + (f", says {source}" if source else "")))
    objective = record.number("input", "objective")
    found.append(("Objective", f"{objective:g}×" if objective is not None else None))
    if base:
        found.append(("Read at", f"{base.mpp:.4g} µm/px, {record.text('resolution', 'base_from')}".rstrip(", ")))
    found.append(("Super-resolved", _super_resolution(record)))
    found.append(("Tissue", _tissue(record)))
    for name, count in record.members("counts", "patches").items():
        if number(count) is not None:
            found.append((f"Patches judged by {plain(name, 60)}", f"{count:,}"))
    found.append(("Most memory", f"{peak / 2**30:.2f} GiB" if peak is not None else None))
    found.append(("Finished", _when(record.text("finished"))))
    return [(label, value) for label, value in found if value]


def _when(words: str) -> str:
    """A time as run.json has it, to the minute; other words as they are."""
    try:
        return f"{datetime.fromisoformat(words).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return words


def _tissue(record: Record) -> str | None:
    share, area_mm2 = record.number("tissue", "share"), record.number("tissue", "area_mm2")
    if area_mm2 is None:
        return None
    return f"{rounded(area_mm2, 4)} mm²" + (f", {share:.1%} of the slide" if share is not None else "")


def _super_resolution(record: Record) -> str | None:
    mpp, factor = record.number("resolution", "super_resolved_mpp"), record.number("resolution", "factor")
    if mpp is None:
        return "no" if factor is not None else None
    times = f"×{factor:g} " if factor is not None else ""
    return f"{times}to {mpp:.4g} µm/px: finer detail than was read is estimated, not measured"


def nuclei_facts(record: Record) -> list[Row]:
    """How many nuclei, and how close they lie."""
    nuclei, density = record.count("counts", "nuclei"), nuclei_per_mm2(record)
    tissue_mm2 = record.number("tissue", "area_mm2")
    found: list[tuple[str, str | None]] = [("Nuclei", f"{nuclei:,}" if nuclei is not None else None)]
    if density is not None and tissue_mm2 is not None:
        found.append(("Density over tissue", f"{density:,.0f} per mm², over {rounded(tissue_mm2, 4)} mm²"))
    median, p95 = (record.number("nuclei_density", f"{name}_per_mm2") for name in ("median", "p95"))
    sigma_um = record.number("nuclei_density", "sigma_um")
    if median is not None and p95 is not None and sigma_um is not None:
        found.append(("Density from place to place", f"median {median:,.0f} per mm², smoothed over {sigma_um:g} µm"))
        found.append(("Densest places", f"95% of tissue at most {p95:,.0f} per mm²"))
    return [(label, value) for label, value in found if value]
