from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest

from pipeline.cohort import SCHEMA, gather, rebuild_reports, write_cohort
from tests.pipeline.test_report import HOSTILE, Page

RUN = {
    "input": {"path": "/data/b.svs", "vendor": "aperio"},
    "resolution": {"level0": {"height": 250, "width": 300, "mpp": 0.5}, "factor": 2, "super_resolved_mpp": 0.25},
    "tissue": {"area_mm2": 2.0, "share": 0.5},
    "counts": {"nuclei": 3000, "patches": {"a": 3, "b": 4}},
    "timings": {"seconds": 71.0},
    "warnings": ["detail below 0.5 um is estimated, not measured"],
}
FAILURE = {
    "format": 1,
    "path": "/data/a.svs",
    "error": "MissingResolution",
    "what": "a.svs: no mpp",
    "cure": "--mpp 0.25",
}


def finish(root: Path, name: str, content: str = json.dumps(RUN)) -> None:
    (root / name).mkdir(parents=True)
    (root / name / "run.json").write_text(content, encoding="utf-8")


def fail(root: Path, name: str, content: str = json.dumps(FAILURE)) -> None:
    (root / ".partial" / name).mkdir(parents=True)
    (root / ".partial" / name / "failed.json").write_text(content, encoding="utf-8")


def test_finished_and_failed_slides_are_rows_sorted_by_name(tmp_path: Path) -> None:
    finish(tmp_path, "b")
    fail(tmp_path, "c")
    fail(tmp_path, "a")
    (tmp_path / ".partial" / "still-running").mkdir()
    rows = gather(tmp_path)
    assert [(row.slide, row.status) for row in rows] == [("a", "failed"), ("b", "done"), ("c", "failed")]
    assert (rows[0].reason, rows[0].cure, rows[0].error) == ("a.svs: no mpp", "--mpp 0.25", "MissingResolution")
    assert (rows[1].nuclei, rows[1].nuclei_per_mm2, rows[1].patches, rows[1].mpp) == (3000, 1500.0, 7, 0.5)


def test_results_that_stand_hide_an_older_failure(tmp_path: Path) -> None:
    finish(tmp_path, "a")
    fail(tmp_path, "a")
    assert [row.status for row in gather(tmp_path)] == ["done"]


def test_the_table_has_the_same_columns_whatever_is_in_it(tmp_path: Path) -> None:
    for root in (tmp_path / "empty", tmp_path / "failed", tmp_path / "done"):
        root.mkdir()
    fail(tmp_path / "failed", "a")
    finish(tmp_path / "done", "a")
    for root in sorted(tmp_path.iterdir()):
        write_cohort(root)
        table = pq.read_table(root / "cohort.parquet")
        assert table.schema == SCHEMA
        assert table.num_rows == len(gather(root))
        Page(root / "report.html")


def test_a_second_call_changes_no_byte_and_no_time_and_a_new_slide_does(tmp_path: Path) -> None:
    def state() -> dict[str, tuple[bytes, int]]:
        return {
            path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir() if path.is_file()
        }

    finish(tmp_path, "a")
    write_cohort(tmp_path)
    before = state()
    assert set(before) == {"cohort.parquet", "report.html"}
    write_cohort(tmp_path)
    assert state() == before
    finish(tmp_path, "b")
    write_cohort(tmp_path)
    assert all(state()[name][0] != before[name][0] for name in before)


@pytest.mark.parametrize("content", ["", "[1]", '{"resolution": ', "[" * 100_000, '{"counts": {"nuclei": "\\ud800"}}'])
def test_a_run_json_of_any_content_is_a_row(tmp_path: Path, content: str) -> None:
    finish(tmp_path, "a", content)
    fail(tmp_path, "b", content)
    write_cohort(tmp_path)
    rows = gather(tmp_path)
    assert [row.slide for row in rows] == ["a", "b"]
    assert rows[0].nuclei is None
    assert rows[1].status == "failed"


def test_numbers_that_no_column_can_hold_are_null(tmp_path: Path) -> None:
    odd = {**RUN, "counts": {"nuclei": 10**40, "patches": {"a": 10**40, "b": -1}}, "peak_rss_bytes": 1.5, "tissue": 3}
    finish(tmp_path, "a", json.dumps(odd))
    write_cohort(tmp_path)
    (row,) = pq.read_table(tmp_path / "cohort.parquet").to_pylist()
    assert [row[key] for key in ("nuclei", "patches", "peak_rss_bytes", "tissue_mm2", "nuclei_per_mm2")] == [None] * 5


def test_words_from_files_are_never_markup_and_links_lead_to_the_folder(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "|") + " #1?%41"
    finish(tmp_path, name, json.dumps({"warnings": [HOSTILE], "input": {"path": HOSTILE}}))
    (tmp_path / name / "thumbnail.jpg").write_bytes(b"no picture")
    fail(tmp_path, "z", json.dumps(dict.fromkeys(("path", "error", "what", "cure"), HOSTILE)))
    write_cohort(tmp_path)
    page = Page(tmp_path / "report.html")
    assert page.all("script") == [{}]
    assert not any(attribute.startswith("on") for _, attributes in page.tags for attribute in attributes)
    assert page.all("img") == []  # a picture that cannot be read is left out
    links = [unquote(link["href"] or "") for link in page.all("a")]
    assert f"{name}/report.html" in links


@pytest.mark.skipif(os.name != "posix", reason="names of files are text elsewhere")
def test_a_folder_whose_name_is_no_text_is_a_row(tmp_path: Path) -> None:
    os.makedirs(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))  # noqa: PTH103, PTH118 - a name of bytes
    (tmp_path / os.fsdecode(b"caf\xe9") / "run.json").write_text(json.dumps(RUN))
    write_cohort(tmp_path)
    assert "caf%E9/report.html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert pq.read_table(tmp_path / "cohort.parquet")["slide"].to_pylist() == ["caf\N{REPLACEMENT CHARACTER}"]


def test_the_page_names_failures_with_reason_and_cure(tmp_path: Path) -> None:
    finish(tmp_path, "b")
    fail(tmp_path, "a")
    write_cohort(tmp_path)
    text = Page(tmp_path / "report.html").text
    for words in ("a.svs: no mpp", "--mpp 0.25", "3,000", "1,500", "0.5 → 0.25", "(1 slide)", "Not a medical device"):
        assert words in text, words


def test_rebuilding_writes_every_page_though_a_store_is_missing(tmp_path: Path) -> None:
    finish(tmp_path, "a")
    pages = list(rebuild_reports(tmp_path))
    assert pages == [tmp_path / "a" / "report.html", tmp_path / "report.html"]
    assert "cannot be shown" in Page(pages[0]).text
