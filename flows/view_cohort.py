"""A slide in the viewer's list, and its figures in words."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from pipeline.record import Record, plain
from pipeline.report_facts import rounded
from pipeline.view_files import LocalFiles, OutsideFolder

# A process that was killed leaves its lock; one that works writes down a batch more often than this.
_SILENT_S = 300.0


def file_url(slide: str, path: str) -> str:
    """The address of a file of a slide."""
    return f"/files/{quote(slide, safe='')}/{quote(path)}"


def cohort_row(
    slide: str, state: dict[str, Any], record: Record, *, whole: bool, preview: bool, files: LocalFiles
) -> dict[str, Any]:
    """One row of the list, from what `status` says and what `run.json` holds."""
    level0 = record.frame("resolution", "level0")
    nuclei, tissue_mm2 = record.count("counts", "nuclei"), record.number("tissue", "area_mm2")
    status = state["state"]
    if status == "unfinished" and _is_busy(files, str(state["slide"])):
        status = "running"
    stages = {
        plain(stage["stage"]): {"done": stage["batches_done"], "total": stage["batches"]} for stage in state["stages"]
    }
    return {
        "id": slide,
        "name": plain(slide),
        "status": status,
        "stages": stages,
        "reason": plain(state.get("what"), 2000) or None,
        "cure": plain(state.get("cure"), 2000) or None,
        "preview": file_url(slide, "preview.png") if preview else None,
        "mpp": level0.mpp if level0 else None,
        "width_um": level0.width * level0.mpp if level0 else None,
        "height_um": level0.height * level0.mpp if level0 else None,
        "sr_scale": record.count("resolution", "factor"),
        "nuclei": nuclei,
        "nuclei_per_mm2": nuclei / tissue_mm2 if nuclei is not None and tissue_mm2 else None,
        "tissue_mm2": tissue_mm2,
        "qc": findings(record),
        "report": file_url(slide, "report.html") if whole else None,
        "seconds": record.number("timings", "seconds"),
    }


def findings(record: Record) -> list[dict[str, str]]:
    """What quality control says of a slide."""
    found = []
    for entry in record.records("qc", "findings"):
        severity = "warning" if entry.text("severity") == "warning" else "note"
        found.append({"code": entry.text("code"), "text": entry.text("text"), "severity": severity})
    return found


def warnings(record: Record) -> list[str]:
    """What a reader of a slide's results has to know, quality first."""
    return [*(finding["text"] for finding in findings(record)), *record.texts("warnings")]


def summary(record: Record) -> dict[str, str]:
    """Figures that a person reads, by what they are."""
    nuclei, tissue_mm2 = record.count("counts", "nuclei"), record.number("tissue", "area_mm2")
    numbers = {
        "Objective": (record.number("input", "objective"), "{:g}x"),
        "Tissue": (None if tissue_mm2 is None else rounded(tissue_mm2, 3), "{} mm²"),
        "Nuclei": (nuclei, "{:,}"),
        "Nuclei per mm²": (nuclei / tissue_mm2 if nuclei is not None and tissue_mm2 else None, "{:,.0f}"),
        "Super-resolution": (record.count("resolution", "factor"), "x{}"),
        "Read at": (record.number("resolution", "base", "mpp"), "{:.4g} µm/px"),
        "Computed in": (record.number("timings", "seconds"), "{:,.0f} s"),
    }
    found = {title: form.format(value) for title, (value, form) in numbers.items() if value is not None}
    texts = {
        "Slide file": ("input", "path"),
        "Scanner": ("input", "vendor"),
        "Resolution from": ("resolution", "mpp_source"),
        "Finished": ("finished",),
        "Histoloom": ("histoloom",),
    }
    found |= {title: record.text(*path) for title, path in texts.items() if record.text(*path)}
    return found


def _is_busy(files: LocalFiles, name: str) -> bool:
    """Whether a process holds a slide and has written something of late."""
    with suppress(OutsideFolder, OSError):
        if files.stamp(f".partial/.{name}.lock") is None:
            return False
        folder = files.root / ".partial" / name
        marks = [folder / "stages.json", folder / "plan.json", folder, *(folder / "ledger").glob("*")]
        return any(time.time() - mark.stat().st_mtime < _SILENT_S for mark in marks if mark.exists())
    return False
