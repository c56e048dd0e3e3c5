"""Findings in words: what they say, when they warn, and where super-resolution invents."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.geometry import Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.qc_findings import Quality, figures_of, invented_share
from pipeline.store import SlideStore

NOTHING = dict.fromkeys(("outside", "blur", "fold", "dirt", "pen"), 0.0)


def quality(mode: str = "flag", beside_mm2: float = 0.0, **areas_mm2: float) -> Quality:
    return Quality(mode, {**figures_of(NOTHING | areas_mm2, 10.0), "pen_beside_mm2": beside_mm2})


def test_a_clean_slide_has_no_findings() -> None:
    assert quality().as_dict()["findings"] == []


def test_a_finding_says_how_much_and_what_follows() -> None:
    (finding,) = quality(blur=1.0).findings
    assert finding.code == "blur"
    assert finding.severity == "warning"
    assert finding.share == pytest.approx(0.1)
    assert finding.text == (
        "10.0% of what is worked on is out of focus (1 mm2): nuclei there may be missed or measured wrongly"
    )


def test_under_mask_it_says_that_it_was_left_out() -> None:
    (finding,) = quality("mask", blur=1.0).findings
    assert finding.text.endswith("left out")


@pytest.mark.parametrize(("area_mm2", "severities"), [(0.004, []), (0.1, ["note"]), (0.5, ["warning"])])
def test_little_of_it_is_a_note_and_less_is_nothing(area_mm2: float, severities: list[str]) -> None:
    assert [finding.severity for finding in quality(blur=area_mm2).findings] == severities


def test_ink_beside_the_tissue_and_what_could_not_be_told_are_notes() -> None:
    figures = quality(beside_mm2=0.5).figures
    found = Quality("flag", figures, ("blur was not looked for",)).findings
    assert [(finding.code, finding.severity) for finding in found] == [("pen-beside", "note"), ("not-told", "note")]
    assert [finding.share for finding in found] == [None, None]  # of nothing that was worked on


def test_invention_is_told_of(tmp_path: Path) -> None:
    base = Frame(400, 400, 0.5)
    frame = base.halved(2)
    store = SlideStore(tmp_path / "a.ome.zarr")
    store.create_heatmap("qc/sr-consistency", Pyramid.over(frame), Heatmap(("rms",), end=0.1), 1024)
    layer = store.layer("qc/sr-consistency/0")
    assert invented_share(layer) is None
    values = np.full((*frame.shape, 1), 0.01, np.float32)
    values[:10, :10] = 0.2
    values[50:] = np.nan
    layer.write(frame.box, values)
    share = invented_share(layer)
    assert share == pytest.approx(100 / (50 * frame.width))
    (finding,) = Quality("flag", quality().figures, invented_share=share).findings
    assert (finding.code, finding.severity) == ("sr-consistency", "warning")
