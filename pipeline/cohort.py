"""The cohort in one table: a row a slide, failures included with their reason, as cohort.parquet and report.html."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cohort_page import cohort_page
from pipeline.cohort_row import CohortRow
from pipeline.errors import HistoloomError
from pipeline.output import read_json
from pipeline.page import write_if_changed
from pipeline.preview import write_preview
from pipeline.record import Record, plain
from pipeline.report import write_slide_report
from pipeline.report_facts import nuclei_per_mm2
from pipeline.report_qc import Finding, findings
from pipeline.report_time import stage_times

SCHEMA = pa.schema(
    [
        ("slide", pa.string()), ("path", pa.string()), ("status", pa.string()), ("error", pa.string()),
        ("reason", pa.string()), ("cure", pa.string()), ("vendor", pa.string()), ("reader", pa.string()),
        ("objective", pa.float64()), ("mpp", pa.float64()), ("mpp_source", pa.string()),
        ("width_level0_px", pa.int64()), ("height_level0_px", pa.int64()), ("base_mpp", pa.float64()),
        ("sr_factor", pa.int64()), ("super_resolved_mpp", pa.float64()), ("tissue_mm2", pa.float64()),
        ("tissue_share", pa.float64()), ("nuclei", pa.int64()), ("nuclei_per_mm2", pa.float64()),
        ("median_nuclei_per_mm2", pa.float64()), ("p95_nuclei_per_mm2", pa.float64()), ("patches", pa.int64()),
        ("qc_warning_codes", pa.list_(pa.string())), ("qc_note_codes", pa.list_(pa.string())),
        ("seconds", pa.float64()), ("stage_seconds", pa.map_(pa.string(), pa.float64())),
        ("peak_rss_bytes", pa.int64()),
        ("input_bytes", pa.int64()), ("input_sha256", pa.string()), ("warnings", pa.list_(pa.string())),
        ("finished", pa.string()), ("histoloom", pa.string()),
        ("qc_mode", pa.string()), ("qc_warnings", pa.int64()), ("qc_notes", pa.int64()),
        ("qc_flagged_share", pa.float64()), ("qc_blur_share", pa.float64()), ("qc_fold_share", pa.float64()),
        ("qc_dirt_share", pa.float64()), ("qc_pen_share", pa.float64()), ("qc_outside_share", pa.float64()),
        ("qc_sr_consistency_rms", pa.float64()),
    ]
)  # fmt: skip
"""Of cohort.parquet, always the same; what a slide's run.json does not say is null."""


def gather(root: Path) -> list[CohortRow]:
    """A row for every slide under `root` that is through, sorted by name; results that stand hide an older failure."""
    done = {folder.name: _finished_row(folder) for folder in _folders(root) if (folder / "run.json").is_file()}
    partial = root / ".partial"
    failed = {folder.name: folder / "failed.json" for folder in _folders(partial) if folder.name not in done}
    rows = done | {name: _failed_row(name, path) for name, path in failed.items() if path.is_file()}
    return [rows[name] for name in sorted(rows)]


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _finished_row(folder: Path) -> CohortRow:
    run = _read(folder / "run.json")
    if run is None:
        reason, cure = f"{folder / 'run.json'}: not a whole JSON object", "Run the slide again with --force."
        return CohortRow(_name(folder.name), "failed", error="StoreError", reason=_name(reason), cure=cure)
    record = Record(run)
    level0, quality = record.frame("resolution", "level0"), findings(record)
    patches = [value for value in record.members("counts", "patches").values() if type(value) is int and value >= 0]
    return CohortRow(
        slide=_name(folder.name),
        status="done",
        path=_text(record, "input", "path"),
        vendor=_text(record, "input", "vendor"),
        reader=_text(record, "input", "reader"),
        objective=record.number("input", "objective"),
        mpp=level0.mpp if level0 else None,
        mpp_source=_text(record, "resolution", "mpp_source"),
        width_level0_px=level0.width if level0 else None,
        height_level0_px=level0.height if level0 else None,
        base_mpp=record.number("resolution", "base", "mpp"),
        sr_factor=record.count("resolution", "factor"),
        super_resolved_mpp=record.number("resolution", "super_resolved_mpp"),
        tissue_mm2=record.number("tissue", "area_mm2"),
        tissue_share=record.number("tissue", "share"),
        nuclei=record.count("counts", "nuclei"),
        nuclei_per_mm2=nuclei_per_mm2(record),
        median_nuclei_per_mm2=record.number("nuclei_density", "median_per_mm2"),
        p95_nuclei_per_mm2=record.number("nuclei_density", "p95_per_mm2"),
        patches=Record({"all": sum(patches)}).count("all") if patches else None,
        qc_warning_codes=_codes(finding for finding in quality if finding.severity == "warning"),
        qc_note_codes=_codes(finding for finding in quality if finding.severity != "warning"),
        seconds=record.number("timings", "seconds"),
        stage_seconds=tuple((stage.name, stage.seconds) for stage in stage_times(record)),
        peak_rss_bytes=record.count("peak_rss_bytes"),
        input_bytes=record.count("input", "bytes"),
        input_sha256=_text(record, "input", "sha256"),
        warnings=tuple(record.texts("warnings")),
        finished=_text(record, "finished"),
        histoloom=_text(record, "histoloom"),
        **_quality(record),
    )


def _codes(found: Iterable[Finding]) -> tuple[str, ...]:
    """Each code once, however many findings have it."""
    return tuple(dict.fromkeys(finding.code for finding in found))


def _quality(record: Record) -> dict[str, Any]:
    """The columns of quality control."""
    kinds = ("flagged", "blur", "fold", "dirt", "pen", "outside")
    shares = {f"qc_{kind}_share": record.number("qc", "figures", f"{kind}_share") for kind in kinds}
    severities = [finding.text("severity") for finding in record.records("qc", "findings")]
    known = bool(record.members("qc"))
    return shares | {
        "qc_mode": _text(record, "qc", "mode"),
        "qc_warnings": severities.count("warning") if known else None,
        "qc_notes": severities.count("note") if known else None,
        "qc_sr_consistency_rms": record.number("consistency_rms"),
    }


def _failed_row(name: str, path: Path) -> CohortRow:
    failure = Record(_read(path) or {})
    return CohortRow(
        slide=_name(name),
        status="failed",
        path=_text(failure, "path"),
        error=_text(failure, "error"),
        reason=_text(failure, "what") or "no reason was written down",
        cure=_text(failure, "cure"),
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except RecursionError:  # brackets nested thousands deep are no run.json
        return None


def _text(record: Record, *path: str) -> str | None:
    return record.text(*path, limit=2000) or None


def _name(name: str) -> str:
    return plain(name, 2000)


def write_cohort(root: Path) -> None:
    """Write cohort.parquet and report.html into `root`; what would not change is left alone."""
    rows = gather(root)
    write_if_changed(root / "cohort.parquet", _as_parquet(rows))
    write_if_changed(root / "report.html", cohort_page(rows, {_name(path.name): path for path in _folders(root)}))


def rebuild_reports(root: Path) -> Iterator[Path]:
    """Make every finished slide's preview and page anew, then the cohort's; yield the pages as they are made."""
    for folder in sorted(_folders(root)):
        run = _read(folder / "run.json")
        if run is None:
            continue
        # A store that cannot be drawn keeps the picture it had; the slide's page says what cannot be shown.
        with suppress(HistoloomError, OSError, ValueError, LookupError, RuntimeError):
            write_preview(folder, run)
        yield write_slide_report(folder, run)
    write_cohort(root)
    yield root / "report.html"


def _as_parquet(rows: list[CohortRow]) -> bytes:
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
