"""What Prefect's pages show of the results: a slide's picture and figures, a cohort's table, ways to the reports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.cohort import Cohort
from pipeline.cohort import gather
from pipeline.cohort_row import CohortRow
from pipeline.object_url import Place
from pipeline.output import SlideOutput
from pipeline.small_picture import small_picture

_PREVIEW_PX = 800
_MOST_ROWS = 1000
_COLUMNS = (
    "slide",
    "status",
    "reason",
    "mpp",
    "sr_factor",
    "tissue_mm2",
    "nuclei",
    "nuclei_per_mm2",
    "patches",
    "seconds",
)


def show_slide(cohort: Cohort, name: str, run: Mapping[str, Any], results_url: str | None) -> None:
    """The slide's preview, where its results are a folder's; its counts, and where its report is."""
    with _whatever_the_server_says():
        _show_slide(cohort, name, run, results_url)


def _show_slide(cohort: Cohort, name: str, run: Mapping[str, Any], results_url: str | None) -> None:
    report = _where(cohort.place, results_url, name, "report.html")
    lines = [f"# {_plain(name)}", "", *_figures(run), "", _link(report)]
    with suppress(OSError):  # a picture that is missing, or in a bucket, is no reason to fail
        picture = small_picture(SlideOutput(cohort.out, name).final / "preview.png", _PREVIEW_PX)
        lines += ["", f"![preview]({picture})"]
    create_markdown_artifact("\n".join(lines), key=artifact_key("slide", name), description=report)


def show_cohort(cohort: Cohort, results_url: str | None) -> None:
    """The cohort's table, failures first, and where its report is."""
    with _whatever_the_server_says():
        _show_cohort(cohort.place, _gather(cohort), results_url)


def _gather(cohort: Cohort) -> list[CohortRow]:
    if cohort.published is None:
        return gather(cohort.out)
    from flows.publishing import mirrored

    with mirrored(cohort.published) as folder:
        return gather(folder)


def _show_cohort(out: Place, found: list[CohortRow], results_url: str | None) -> None:
    rows = sorted(found, key=lambda row: row.status == "done")
    shown = [_row(row) for row in rows[:_MOST_ROWS]]
    left_out = f"; {len(rows) - _MOST_ROWS} more in cohort.parquet" if len(rows) > _MOST_ROWS else ""
    report = _where(out, results_url, "report.html")
    create_table_artifact(
        shown, key=artifact_key("cohort", out.name), description=f"{len(rows)} slides{left_out}. {report}"
    )
    if results_url:
        create_link_artifact(report, link_text=f"Report of {out.name}", key=artifact_key("report", out.name))


@contextmanager
def _whatever_the_server_says() -> Iterator[None]:
    """The results stand; that they are not shown is no reason to fail."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning(f"not shown in Prefect's pages: {error}")


def artifact_key(kind: str, name: str) -> str:
    """A name as Prefect wants it, small letters, digits and dashes; what that loses is told apart by a hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    apart = [] if plain == name.lower() else [hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:6]]
    return "-".join([kind, *([plain] if plain else []), *apart])


def _row(row: CohortRow) -> dict[str, Any]:
    cells = asdict(row)
    return {column: "" if cells[column] is None else cells[column] for column in _COLUMNS}


def _figures(run: Mapping[str, Any]) -> list[str]:
    """A table of what was counted."""
    counts = run.get("counts") or {}
    figures = {"seconds": round((run.get("timings") or {}).get("seconds", 0), 1), **counts}
    return ["| | |", "|---|---|", *(f"| {_plain(key)} | {_plain(value)} |" for key, value in figures.items())]


def _where(out: Place, results_url: str | None, *parts: str) -> str:
    """A link where the results are served somewhere, else the place: browsers open no files from a server's page."""
    if results_url:
        return "/".join([results_url.rstrip("/"), *(quote(part, safe="") for part in parts)])
    return "/".join([str(out), *parts])


def _link(where: str) -> str:
    return f"[report]({where})" if where.startswith("http") else f"Report: `{_plain(where)}`"


def _plain(value: object) -> str:
    """A text that is no markup, whatever a slide is called."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|])", r"\\\1", " ".join(str(value).split()))
