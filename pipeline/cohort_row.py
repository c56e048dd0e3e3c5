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
    """Magnification that the file states."""
    mpp: float | None = None
    mpp_source: str | None = None
    """Where `mpp` comes from: a property of the file, or `option --mpp`."""
    width_level0_px: int | None = None
    height_level0_px: int | None = None
    base_mpp: float | None = None
    """um per px that the slide was read at."""
    sr_factor: int | None = None
    """1 where nothing was super-resolved."""
    super_resolved_mpp: float | None = None
    tissue_mm2: float | None = None
    tissue_share: float | None = None
    nuclei: int | None = None
    nuclei_per_mm2: float | None = None
    """Over all tissue."""
    median_nuclei_per_mm2: float | None = None
    """Of the map of densities; half of the tissue has fewer."""
    p95_nuclei_per_mm2: float | None = None
    """Of the same map; 95 % of the tissue has no more."""
    patches: int | None = None
    """Judged by all classifiers together."""
    qc_warning_codes: tuple[str, ...] = ()
    """Codes of what quality control warns of."""
    qc_note_codes: tuple[str, ...] = ()
    """Codes of what it found besides."""
    seconds: float | None = None
    """Of all stages together."""
    stage_seconds: tuple[tuple[str, float], ...] = ()
    """A map from stage to seconds; the coarser levels of all layers are one, as those of the flags are."""
    peak_rss_bytes: int | None = None
    input_bytes: int | None = None
    input_sha256: str | None = None
    warnings: tuple[str, ...] = ()
    """What a reader must know, in words."""
    finished: str | None = None
    histoloom: str | None = None
    qc_mode: str | None = None
    """What was done with what quality control flagged: `flag`, `mask` or `off`."""
    qc_warnings: int | None = None
    """How many."""
    qc_notes: int | None = None
    """How many."""
    qc_flagged_share: float | None = None
    """Of the area that is worked on; a cell with several flags counts once."""
    qc_blur_share: float | None = None
    qc_fold_share: float | None = None
    qc_dirt_share: float | None = None
    qc_pen_share: float | None = None
    qc_outside_share: float | None = None
    qc_sr_consistency_rms: float | None = None
    """Root mean square over the map of consistency, 0 to 1."""
