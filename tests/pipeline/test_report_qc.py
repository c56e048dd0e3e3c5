"""What pages say of quality control: all of what run.json and the store tell, and nothing where they tell nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.ngff import Pyramid
from pipeline.record import Record
from pipeline.report import write_slide_report
from pipeline.report_qc import FLAGS, figures, findings
from pipeline.store import SlideStore
from tests.pipeline.finished_slide import CORE_PX, Parts, add_map, make_slide, read_run
from tests.pipeline.test_report import HOSTILE, Page

QC = {
    "mode": "flag",
    "findings": [
        {"code": "pen-beside", "text": "a pen mark beside the tissue", "severity": "note", "share": None},
        {"code": "blur", "text": "7.1% of what is worked on is out of focus", "severity": "warning", "share": 0.071},
        {"code": "odd", "severity": 3},
        "no finding",
    ],
    "figures": {"blur_share": 0.0712, "blur_mm2": 0.03, "name": "text", "nested": {"no": 1}, "bad": float("nan")},
}


def add_flags(folder: Path) -> None:
    """Flags 2 and 5 on a slide of `make_slide`, with a legend of three."""
    store = SlideStore(folder / f"{folder.name}.ome.zarr")
    base = store.pyramid("").levels[0]
    store.create_labels(FLAGS, Pyramid.over(base), CORE_PX, "uint8")
    values = np.zeros(base.shape, np.uint8)
    values[:100, :100], values[100:200, :100] = 2, 5
    for level, frame in enumerate(store.pyramid(FLAGS).levels):
        store.layer(f"{FLAGS}/{level}").write(frame.box, values[:: 2**level, :: 2**level])
    path = store.path / FLAGS / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["ome"]["image-label"] |= {
        "colors": [{"label-value": value, "rgba": [value, 200, 0, 255]} for value in (1, 2, 5)],
        "properties": [{"label-value": 1, "title": "one"}, {"label-value": 2, "title": HOSTILE}],
    }
    path.write_text(json.dumps(metadata))


def test_findings_come_warnings_first_and_odd_ones_do_no_harm() -> None:
    found = findings(Record({"qc": QC}))
    assert [(one.code, one.severity, one.share) for one in found] == [
        ("blur", "warning", 0.071), ("pen-beside", "note", None), ("odd", "3", None),
    ]  # fmt: skip
    assert found[2].text == "odd"


def test_shares_are_percent_and_what_is_no_value_is_left_out() -> None:
    assert figures(Record({"qc": QC})) == [("blur share", "7.12%"), ("blur mm2", "0.03"), ("name", "text")]


@pytest.mark.parametrize("qc", [None, {}, {"findings": []}, {"findings": 3, "figures": [1]}, "qc"])
def test_a_page_is_silent_where_quality_control_did_not_run(tmp_path: Path, qc: object) -> None:
    folder = make_slide(tmp_path, parts=Parts(sr=False, heat=False))
    page = Page(write_slide_report(folder, read_run(folder) | {"qc": qc}))
    assert "Quality" not in page.text
    assert "cannot be shown" not in page.text.replace("The preview cannot be shown", "")


def test_a_page_tells_findings_and_shows_where_flags_were_raised(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, parts=Parts(sr=False, heat=False))
    add_flags(folder)
    page = Page(write_slide_report(folder, read_run(folder) | {"qc": QC}))
    assert page.text.count("7.1% of what is worked on is out of focus") == 2  # in the table, and to keep in mind
    assert page.text.count("7.1%") == 3
    assert HOSTILE in page.text  # a flag that was raised, with a title; the legend does not tell of others
    assert "one" not in [word for line in page.text.splitlines() for word in line.split()]
    (picture,) = [image for image in page.all("img") if "flagged in colour" in (image["alt"] or "")]
    assert picture["alt"] == f"The slide with what was flagged in colour: {HOSTILE}, 5."
    assert page.all("script") == []


def test_other_maps_of_quality_control_are_shown_where_they_mark_anything(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, parts=Parts(sr=False, heat=False))
    add_map(folder, "qc/sharpness", (0.5, 0.0), ("blurred", "never"))
    page = Page(write_slide_report(folder, read_run(folder)))
    assert "sharpness: blurred" in page.text
    assert "sharpness: never" not in page.text


def test_warnings_of_quality_come_first_of_what_to_keep_in_mind(tmp_path: Path) -> None:
    folder = make_slide(tmp_path)
    text = Page(write_slide_report(folder, read_run(folder) | {"qc": QC})).text
    assert text.index("To keep in mind") < text.index(QC["findings"][1]["text"]) < text.index("detail below 0.5 um")  # type: ignore[index]
