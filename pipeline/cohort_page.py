"""The cohort's report.html: a row a slide, what is unusual among them, and plots over all of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.cohort_outliers import LEAST_SLIDES, Outlier, outliers
from pipeline.cohort_plots import slides_plot, stages_plot
from pipeline.cohort_row import CohortRow
from pipeline.output import THUMBNAIL
from pipeline.page import render
from pipeline.plot import Plot
from pipeline.report_facts import duration, rounded
from pipeline.thumbnail_file import thumbnail_uri

MOST_PICTURES = 1000
"""In the page: as none takes more than 16 kB of it, all together at most 16 MiB, however many slides there are."""

# Where `histoloom view` listens unless told otherwise.
_VIEWER = "http://127.0.0.1:8300/slide/"


@dataclass(frozen=True, slots=True)
class _Cell:
    """A number in the table: in words, and exactly, for sorting."""

    words: str
    value: str
    """Empty where it is not known."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A slide in the table."""

    row: CohortRow
    folder: str
    """As a link has it; empty where there are no results to link to."""
    view: str
    picture: str
    kind: str
    """What the table can be narrowed down to."""
    mpp: str
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _Unusual:
    """A measure, and the slides whose value of it stands out."""

    what: str
    slides: tuple[tuple[str, str, str], ...]
    """Name, value, and how it compares."""


Measure = Callable[[CohortRow], float | None]

Words = Callable[[float], str]


def _three_digits(value: float) -> str:
    return rounded(value, 3)


_NUMBERS: tuple[tuple[str, Measure, Words], ...] = (
    ("tissue, mm²", lambda row: row.tissue_mm2, _three_digits),
    ("nuclei", lambda row: row.nuclei, "{:,}".format),
    ("nuclei per mm²", lambda row: row.nuclei_per_mm2, "{:,.0f}".format),
    ("patches", lambda row: row.patches, "{:,}".format),
    ("time", lambda row: row.seconds, duration),
    (
        "memory, GiB",
        lambda row: None if row.peak_rss_bytes is None else row.peak_rss_bytes / 2**30,
        "{:.2f}".format,
    ),
)


def cohort_page(rows: Sequence[CohortRow], folders: Mapping[str, Path]) -> bytes:
    """The page about `rows`; `folders` are the results by slide, as rows call them."""
    done = [row for row in rows if row.status == "done"]
    pictures = [row.slide for row in done if _has_picture(folders.get(row.slide))]
    shown = set(pictures[:MOST_PICTURES])
    return render(
        "cohort.html",
        "cohort.js",
        lines=[_line(row, folders.get(row.slide), pictured=row.slide in shown) for row in ordered(rows)],
        heads=[name for name, _, _ in _NUMBERS],
        pictures=len(shown),
        pictures_left_out=len(pictures) - len(shown),
        totals=totals(rows),
        plots=_plots(done),
        unusual=_unusual(done),
        least_slides=LEAST_SLIDES,
        done=len(done),
        quality=sorted(Counter(code for row in done for code in row.qc_warning_codes).items()),
        notices=sorted(Counter(warning for row in done for warning in row.warnings).items()),
        failures=len(rows) - len(done),
        super_resolved=any(row.super_resolved_mpp is not None for row in done),
        version="",
    )


def ordered(rows: Sequence[CohortRow]) -> list[CohortRow]:
    """Failed slides first: somebody has to do something about them."""
    return sorted(rows, key=lambda row: (row.status == "done", row.slide))


def totals(rows: Sequence[CohortRow]) -> list[tuple[str, str]]:
    """Figures that are read first; a sum only where there is something to add."""
    done = sum(row.status == "done" for row in rows)
    found = [(f"{done:,}", "slide done" if done == 1 else "slides done"), (f"{len(rows) - done:,}", "failed")]
    nuclei = [row.nuclei for row in rows if row.nuclei is not None]
    tissue_mm2 = [row.tissue_mm2 for row in rows if row.tissue_mm2 is not None]
    both = [(row.nuclei, row.tissue_mm2) for row in rows if row.nuclei is not None and row.tissue_mm2]
    patches = [row.patches for row in rows if row.patches is not None]
    seconds = [row.seconds for row in rows if row.seconds is not None]
    if tissue_mm2:
        found.append((f"{rounded(sum(tissue_mm2), 4)} mm²", "tissue"))
    if nuclei:
        found.append((f"{sum(nuclei):,}", "nuclei"))
    if both:
        density = sum(count for count, _ in both) / sum(area for _, area in both)
        found.append((f"{density:,.0f} per mm²", "nuclei over all tissue"))
    if patches:
        found.append((f"{sum(patches):,}", "patches judged"))
    if seconds:
        found.append((duration(sum(seconds)), "computed in"))
    return found


def _has_picture(folder: Path | None) -> bool:
    return folder is not None and (folder / THUMBNAIL).is_file()


def _line(row: CohortRow, folder: Path | None, *, pictured: bool) -> _Line:
    link = quote(os.fsencode(folder.name), safe="") if folder and row.status == "done" else ""
    kinds = [
        row.status,
        *(["flagged"] if row.qc_warning_codes else []),
        *(["estimated"] if row.super_resolved_mpp else []),
    ]
    mpp = "–" if row.mpp is None else f"{row.mpp:.4g}"
    if row.super_resolved_mpp is not None:
        mpp += f" → {row.super_resolved_mpp:.4g}"
    picture = thumbnail_uri(folder / THUMBNAIL) if pictured and folder else ""
    cells = tuple(_cell(measure(row), words) for _, measure, words in _NUMBERS)
    return _Line(row, link, f"{_VIEWER}{link}" if link else "", picture, " ".join(kinds), mpp, cells)


def _cell(value: float | None, words: Words) -> _Cell:
    return _Cell("–", "") if value is None else _Cell(words(value), repr(value))


def _plots(done: Sequence[CohortRow]) -> list[tuple[str, Plot]]:
    density = [(row.slide, row.nuclei_per_mm2) for row in done if row.nuclei_per_mm2 is not None]
    tissue = [(row.slide, row.tissue_mm2) for row in done if row.tissue_mm2 is not None]
    plots = {
        "Density of nuclei": slides_plot("density", density, "nuclei per mm² of tissue", "{:,.0f}".format),
        "Tissue": slides_plot("tissue", tissue, "tissue, mm²", _three_digits),
        "Time by stage": stages_plot([row.stage_seconds for row in done]),
    }
    return [(heading, plot) for heading, plot in plots.items() if plot]


def _unusual(done: Sequence[CohortRow]) -> list[_Unusual]:
    measures: list[tuple[str, Measure, Words]] = [
        ("nuclei per mm²", lambda row: row.nuclei_per_mm2, "{:,.0f}".format),
        ("tissue, mm²", lambda row: row.tissue_mm2, _three_digits),
        ("seconds per mm² of tissue", _seconds_per_mm2, _three_digits),
    ]
    found = []
    for what, measure, words in measures:
        values = [(row.slide, value) for row in done if (value := measure(row)) is not None]
        told = tuple((entry.slide, words(entry.value), _compared(entry, words)) for entry in outliers(values))
        found += [_Unusual(what, told)] if told else []
    return found


def _seconds_per_mm2(row: CohortRow) -> float | None:
    return row.seconds / row.tissue_mm2 if row.seconds is not None and row.tissue_mm2 else None


def _compared(outlier: Outlier, words: Words) -> str:
    median = f"the median, {words(outlier.median)}"
    if outlier.value <= 0:
        return f"none, where {median} is not"
    ratio = outlier.value / outlier.median
    return f"{rounded(ratio, 3)} times {median}" if ratio > 1 else f"{ratio:.2g} of {median}"
