"""At which resolution a slide is read, how far apart its patches begin, and what a second run leaves behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.cohort import Cohort, process_cohort
from flows.progress import Quiet
from pipeline.config import CohortConfig, SlideConfig
from pipeline.output import SlideOutput, read_json
from pipeline.schedule import Workforce
from pipeline.synthetic import SyntheticTruth

SIDE_PX = 580


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Tissue of 580 um a side, at 1 um/px."""
    truth = SyntheticTruth(SIDE_PX, SIDE_PX, 1.0, tissue_share=1.0)
    path = tmp_path / "tissue.png"
    Image.fromarray(truth.render(truth.frame.box)).save(path)
    return path


def run(picture: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """The `run.json` of a run of `idc-hybrid` alone, on the CPU."""
    given = {"mpp": 1.0, "sr": "none", "nuclei": "none", "tissue": "all", "device": "cpu"} | settings
    config = CohortConfig(SlideConfig(**given))  # type: ignore[arg-type]
    (outcome,) = process_cohort(Cohort((picture,), out, config), Workforce(processes=0), Quiet())
    assert outcome.error is None, outcome.error
    return read_json(out / "tissue" / "run.json") or {}


def test_a_slide_with_nothing_but_classifiers_is_read_as_it_is(picture: Path, tmp_path: Path) -> None:
    done = run(picture, tmp_path / "out")
    assert done["resolution"]["base"] == {"height": SIDE_PX, "width": SIDE_PX, "mpp": 1.0}
    assert done["resolution"]["base_from"] == "level 0"
    assert not [warning for warning in done["warnings"] if "super-resolved" in warning or "interpolated" in warning]
    assert done["counts"]["patches"]["idc-hybrid"] == 25


def test_patches_lie_as_far_apart_as_told_and_the_run_says_so(picture: Path, tmp_path: Path) -> None:
    done = run(picture, tmp_path / "out", stride_share=1.0)
    assert done["plan"]["settings"]["stride_share"] == 1.0
    rows = pq.read_table(tmp_path / "out" / "tissue" / "patches.parquet")
    corners = {(row["y_level0_px"], row["x_level0_px"]) for row in rows.to_pylist()}
    assert corners == {(y, x) for y in np.arange(0, SIDE_PX, 200.0) for x in np.arange(0, SIDE_PX, 200.0)}


def test_what_a_stopped_new_start_left_is_gone_once_the_old_results_are_taken(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(picture, out)
    left = SlideOutput(out, "tissue")
    left.begin(done["plan"], force=True)  # as a run by --force that was killed leaves it
    assert left.partial.is_dir()
    assert run(picture, out) == done
    assert not left.partial.exists()
