"""One real run for all tests of the viewer: a region of a real slide where there is one, else a synthetic slide."""

from __future__ import annotations

import os
from pathlib import Path

NAME = "region"


def run_for_viewer(root: Path) -> Path:
    """Read, super-resolve, segment and classify a slide of 300 x 280 px at 0.5 um/px; the folder of results."""
    from flows.cohort import Cohort, process_cohort
    from flows.progress import Quiet
    from pipeline.config import CohortConfig, SlideConfig
    from pipeline.schedule import Workforce

    config = CohortConfig(SlideConfig(tissue="all", device="cpu", precision="fp32", core_px=256))
    (outcome,) = process_cohort(Cohort((_slide(root),), root / "results", config), Workforce(processes=0), Quiet())
    assert outcome.error is None, outcome.error
    return root / "results"


def _slide(root: Path) -> Path:
    from pipeline.synthetic import write_synthetic_slide
    from tests.flows.killed_runs import REGION, cut_region

    path = root / f"{NAME}.tif"
    real = Path(os.environ.get("HISTOLOOM_DATA", ""), "wsi", "CMU-1-Small-Region.svs")
    if os.environ.get("HISTOLOOM_DATA") and real.is_file():
        return cut_region(real, REGION, path)
    path = path.with_suffix(".svs")
    write_synthetic_slide(path, REGION.height, REGION.width, 0.499)
    return path
