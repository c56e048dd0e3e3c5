"""Real slides, good and bad, through the whole main job with the networks that ship."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.cohort import Cohort, process_cohort
from flows.progress import Quiet
from pipeline.config import CohortConfig, SlideConfig
from pipeline.output import SlideOutput, read_json
from pipeline.schedule import Workforce
from pipeline.store import SlideStore

pytestmark = pytest.mark.slides

# Slide to words that its reason and its cure must hold.
BAD = {
    "tcga-cr-7395-no-mpp": ("does not say how many um", "--mpp"),
    "CMU-1-Small-Region.wrong-mpp": ("0.00499 um/px", "--mpp"),
    "boxes": ("um/px", "--mpp"),
    "camelyon_multiframe_jpeg": ("28.9", "--mpp"),
    "fails-on-read": ("cannot be decoded", "damaged"),
    "no-pixels": (".vsi", "Convert"),
    "4D-series": ("not a slide", "Check"),
}
# Neither JPEG 2000 nor WebP copy of the sample says its resolution rightly.
SETTINGS = {"CMU-1-Small-Region.jp2": {"mpp": 0.499}, "CMU-1-Small-Region.webp": {"mpp": 0.499}}


def test_good_slides_are_done_and_bad_ones_say_what_to_do(data: Path, tmp_path: Path) -> None:
    only_ingest = SlideConfig(sr="none", nuclei="none", classifiers=())
    slides = tuple(sorted(path for path in (data / "wsi").iterdir() if path.suffix != ".md"))
    outcomes = process_cohort(
        Cohort(slides, tmp_path / "out", CohortConfig(only_ingest, SETTINGS)), Workforce(), Quiet()
    )
    failed = {outcome.name: outcome.error for outcome in outcomes if outcome.error}
    assert set(failed) == set(BAD)
    for name, (reason, cure) in BAD.items():
        error = failed[name]
        assert error is not None
        assert reason in error.what
        assert cure in error.cure
        assert not SlideOutput(tmp_path / "out", name).final.exists()
    rows = {row["slide"]: row for row in pq.read_table(tmp_path / "out" / "cohort.parquet").to_pylist()}
    assert {name for name, row in rows.items() if row["status"] == "done"} == {
        "BS9_HE2", "CMU-1-Small-Region", "CMU-1-Small-Region.jp2", "CMU-1-Small-Region.webp", "OS-1-detail",
    }  # fmt: skip
    assert len(rows) == len(slides)


@pytest.mark.parametrize("name", ["fails-on-read", "tcga-cr-7395-no-mpp", "boxes"])
def test_what_is_wrong_with_a_slide_does_not_depend_on_the_settings(data: Path, tmp_path: Path, name: str) -> None:
    (slide,) = (data / "wsi").glob(f"{name}.*")
    (outcome,) = process_cohort(Cohort((slide,), tmp_path, CohortConfig()), Workforce(), Quiet())
    assert outcome.error is not None
    assert BAD[name][0] in outcome.error.what


def test_the_main_job_on_a_real_slide(data: Path, tmp_path: Path) -> None:
    slide = data / "wsi" / "CMU-1-Small-Region.svs"
    program = "from flows.cli import main; main()"  # in a process of its own, whose memory is the run's
    command = [sys.executable, "-c", program, "run", str(slide), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    folder = tmp_path / "CMU-1-Small-Region"
    run = read_json(folder / "run.json")
    assert run is not None
    assert run["resolution"]["super_resolved_mpp"] == pytest.approx(0.2495)
    assert run["peak_rss_bytes"] < 3 * 2**30
    nuclei = pq.read_table(folder / "nuclei.parquet")
    assert 1000 < nuclei.num_rows < 2500  # keratin taken for nuclei would add thousands
    median_um2 = float(np.median(nuclei["area_um2"].to_numpy()))
    assert 10 < median_um2 < 60
    store = SlideStore(folder / "CMU-1-Small-Region.ome.zarr")
    labels = store.layer("sr/labels/nuclei/0")
    assert int(labels.read(labels.frame.box).max()) == nuclei.num_rows
    heat = store.layer("heatmaps/idc-hybrid/0")
    values = heat.read(heat.frame.box)
    judged = ~np.isnan(values[..., 0])
    np.testing.assert_allclose(values[judged].sum(axis=-1), 1, atol=1e-4)
    assert judged.mean() > 0.3


def test_nuclei_do_not_depend_on_the_size_of_cores(data: Path, tmp_path: Path) -> None:
    slide = next((data / "nuclei" / "monuseg" / "images").glob("TCGA-G9-6348*"))
    tables = []
    for core_px in (256, 1024):
        config = SlideConfig(mpp=0.25, sr="none", classifiers=(), precision="fp32", core_px=core_px)
        out = tmp_path / str(core_px)
        (outcome,) = process_cohort(Cohort((slide,), out, CohortConfig(config)), Workforce(), Quiet())
        assert outcome.error is None
        tables.append(pq.read_table(out / outcome.name / "nuclei.parquet"))
    assert tables[0].num_rows > 300
    assert tables[0].equals(tables[1])
