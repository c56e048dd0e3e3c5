"""Quality control in a run: three modes, what each leaves behind, and that their tiles are never mixed."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from flows.cohort import Cohort, SlideOutcome, process_cohort
from flows.progress import Quiet
from pipeline.cohort import gather
from pipeline.config import CohortConfig, SlideConfig
from pipeline.errors import ConfigError, NoTissue, PlanChanged
from pipeline.output import read_json
from pipeline.qc_flags import OUTSIDE, PEN, QC_LABELS
from pipeline.schedule import Workforce
from pipeline.store import SlideStore
from pipeline.synthetic import SyntheticTruth
from tests.pipeline.qc_truth import inked

HEIGHT_PX, WIDTH_PX = 600, 800


def painted(tmp_path: Path, pen_rows: slice) -> Path:
    """Tissue of 600 x 800 um with ink over some rows of it, at 1 um/px."""
    truth = SyntheticTruth(HEIGHT_PX, WIDTH_PX, 1.0, tissue_share=1.0)
    pixels = truth.render(truth.frame.box)
    where = np.zeros(pixels.shape[:2], np.bool_)
    where[pen_rows] = True
    path = tmp_path / "painted.png"
    Image.fromarray(inked(pixels, where, "green", 1.0)).save(path)
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("picture"), slice(300, 600))


def outcome_of(picture: Path, out: Path, **settings: Any) -> SlideOutcome:
    given = {"mpp": 1.0, "sr": "none", "nuclei": "none", "tissue": "all", "device": "cpu"} | settings
    config = CohortConfig(SlideConfig(**given))  # type: ignore[arg-type]
    (outcome,) = process_cohort(Cohort((picture,), out, config), Workforce(processes=0), Quiet())
    return outcome


def run(picture: Path, out: Path, **settings: Any) -> dict[str, Any]:
    outcome = outcome_of(picture, out, **settings)
    assert outcome.error is None, outcome.error
    return read_json(out / "painted" / "run.json") or {}


@pytest.fixture(scope="module")
def results(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Mode to the results folder and its run.json."""
    made = {}
    for mode in ("flag", "mask", "off"):
        out = tmp_path_factory.mktemp(mode)
        made[mode] = out, run(picture, out, qc=mode)
    return made


Results = dict[str, tuple[Path, dict[str, Any]]]


def patches(folder: Path) -> NDArray[np.float64]:
    return np.asarray(pq.read_table(folder / "painted" / "patches.parquet")["y_level0_px"])


def store(folder: Path) -> SlideStore:
    return SlideStore(folder / "painted" / "painted.ome.zarr")


@pytest.mark.parametrize("mode", ["flag", "mask"])
def test_what_is_flagged_is_stored_and_told_of(results: Results, mode: str) -> None:
    out, done = results[mode]
    layer = store(out).layer(f"{QC_LABELS}/0")
    drawn = layer.read(layer.frame.box)
    assert (drawn[350:550, 50:750] == PEN).all()
    assert not (drawn[:250] == PEN).any()
    assert done["qc"]["mode"] == mode
    assert done["qc"]["findings"][0]["code"] == "pen"
    assert done["qc"]["figures"]["pen_share"] == pytest.approx(0.5, abs=0.08)
    assert QC_LABELS in done["layers"]["qc"]


def test_flags_alone_change_nothing_that_is_measured(results: Results) -> None:
    flag, off = (results[mode][0] / "painted" / "patches.parquet" for mode in ("flag", "off"))
    assert pq.read_table(flag).equals(pq.read_table(off))


def test_under_mask_nothing_is_measured_where_something_is_flagged(results: Results) -> None:
    everywhere, left = patches(results["flag"][0]), patches(results["mask"][0])
    assert everywhere.max() > 400
    assert 0 < len(left) < len(everywhere)
    assert left.max() <= 200  # half of a patch of 200 um has to be tissue that is left
    text = results["mask"][1]["qc"]["findings"][0]["text"]
    assert text.endswith("left out")
    assert results["mask"][1]["qc"]["figures"]["worked_mm2"] < results["flag"][1]["qc"]["figures"]["worked_mm2"]


def test_off_looks_for_nothing(results: Results) -> None:
    out, done = results["off"]
    assert done["qc"] == {"mode": "off", "findings": [], "figures": {}}
    assert not store(out).has(QC_LABELS)
    assert done["layers"]["qc"] == []


def test_the_scaffold_is_taken_down(results: Results) -> None:
    for out, _ in results.values():
        assert not list((out / "painted").glob("*.npz"))


def test_the_cohort_has_the_shares_in_columns(results: Results) -> None:
    (row,) = gather(results["flag"][0])
    assert row.qc_mode == "flag"
    assert row.qc_warnings == 1
    assert row.qc_pen_share == results["flag"][1]["qc"]["figures"]["pen_share"]
    (off,) = gather(results["off"][0])
    assert (off.qc_mode, off.qc_warnings, off.qc_pen_share) == ("off", 0, None)


@pytest.mark.parametrize("mode", ["mask", "off"])
def test_results_of_one_mode_are_never_taken_for_those_of_another(picture: Path, results: Results, mode: str) -> None:
    out, before = results["flag"]
    outcome = outcome_of(picture, out, qc=mode)
    assert isinstance(outcome.error, PlanChanged)
    assert "settings.qc was 'flag'" in str(outcome.error)
    assert read_json(out / "painted" / "run.json") == before


def test_a_slide_that_is_flagged_all_over_fails_with_a_cure(tmp_path: Path) -> None:
    picture = painted(tmp_path, slice(0, HEIGHT_PX))
    outcome = outcome_of(picture, tmp_path / "out", qc="mask", classifiers=())
    assert isinstance(outcome.error, NoTissue)
    assert "--qc flag" in str(outcome.error)
    assert outcome_of(picture, tmp_path / "flag", qc="flag", classifiers=()).error is None


def test_glass_that_is_worked_on_is_flagged_as_outside(tmp_path: Path) -> None:
    truth = SyntheticTruth(HEIGHT_PX, WIDTH_PX, 1.0, tissue_share=1.0)
    pixels = truth.render(truth.frame.box)
    pixels[:, 500:] = 240
    path = tmp_path / "painted.png"
    Image.fromarray(pixels).save(path)
    run(path, tmp_path / "out", classifiers=())
    layer = store(tmp_path / "out").layer(f"{QC_LABELS}/0")
    drawn = layer.read(layer.frame.box)
    assert (drawn[:, 600:] == OUTSIDE).all()
    assert not drawn[:, :440].any()


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="flag, mask, off"):
        SlideConfig(qc="maybe")  # type: ignore[arg-type]
