"""A slide as one row of its cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One slide: what was found, or why nothing was. Fields are the columns of cohort.parquet."""

    slide: str
    status: Literal["done", "failed"]
    path: str | None = None
    error: str | None = None
    """The kind of failure, by the names in pipeline/errors.py."""
    reason: str | None = None
    cure: str | None = None
    vendor: str | None = None
    reader: str | None = None
    objective: float | None = None
    mpp: float | None = None
    mpp_source: str | None = None
    width_level0_px: int | None = None
    height_level0_px: int | None = None
    base_mpp: float | None = None
    sr_factor: int | None = None
    """1 where nothing was super-resolved."""
    super_resolved_mpp: float | None = None
    tissue_mm2: float | None = None
    tissue_share: float | None = None
    nuclei: int | None = None
    nuclei_per_mm2: float | None = None
    """Over all tissue."""
    median_nuclei_per_mm2: float | None = None
    """From place to place."""
    p95_nuclei_per_mm2: float | None = None
    patches: int | None = None
    """Judged by all classifiers together."""
    qc_warnings: tuple[str, ...] = ()
    """Codes of what quality control warns of."""
    qc_notes: tuple[str, ...] = ()
    seconds: float | None = None
    stage_seconds: tuple[tuple[str, float], ...] = ()
    """Coarser levels of all layers count as one stage."""
    peak_rss_bytes: int | None = None
    input_bytes: int | None = None
    input_sha256: str | None = None
    warnings: tuple[str, ...] = ()
    finished: str | None = None
    histoloom: str | None = None
