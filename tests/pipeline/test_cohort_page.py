"""The figures in the cohort's page are those of cohort.parquet and of every run.json."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import cohort_page as page_module
from pipeline.cohort import gather, write_cohort
from pipeline.report_facts import duration
from pipeline.thumbnail_file import small_jpeg
from tests.pipeline.test_cohort import FAILURE, fail, finish
from tests.pipeline.test_report import HOSTILE, Page


class Table(HTMLParser):
    """The rows of the table of slides: of every cell its words and its `data-v`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str | None]]] = []
        self._inside = self._cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "table":
            self._inside = known.get("id") == "slides"
        if self._inside and tag == "tr":
            self.rows.append([])
        if self._inside and tag in ("td", "th"):
            self.rows[-1].append(("", known.get("data-v")))
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside and self._cell:
            words, value = self.rows[-1][-1]
            self.rows[-1][-1] = (" ".join(f"{words} {data}".split()), value)


def slide_run(index: int) -> dict[str, Any]:
    """A run.json whose figures have many digits."""
    nuclei, area_mm2 = 1000 + 977 * index, 1 / 3 + index * 0.7123456789
    stages = [
        {"name": "ingest", "tiles": 3, "megapixels": 1.0, "seconds": 1.1 * index + 0.123456789},
        {"name": "pyramid/image/1", "seconds": 0.1 + index},
        {"name": "pyramid/image/2", "seconds": 0.01},
    ]
    return {
        "input": {"path": f"/data/{index}.svs"},
        "resolution": {"level0": {"height": 250, "width": 300, "mpp": 0.2526 + index / 1000}, "mpp_source": "x"},
        "tissue": {"area_mm2": area_mm2, "share": 0.5},
        "counts": {"nuclei": nuclei, "patches": {"a": index, "b": 2}},
        "nuclei_density": {"median_per_mm2": 900 + index, "p95_per_mm2": 3000 + index},
        "timings": {"seconds": sum(stage["seconds"] for stage in stages), "stages": stages},
        "peak_rss_bytes": 2**30 + index * 12345,
        "qc": {"findings": [{"code": "blur", "severity": "warning"}, {"code": "pen", "severity": "note"}][: index % 3]},
        "warnings": ["detail is estimated"],
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    for index in range(12):
        finish(root, f"slide-{index:02d}", json.dumps(slide_run(index)))
    fail(root, "broken")
    write_cohort(root)
    return root


def test_every_figure_of_a_row_is_that_of_the_table_and_of_run_json(cohort: Path) -> None:
    head, *lines = Table(cohort / "report.html").rows
    names = [words for words, _ in head]
    shown = {line[1][0]: dict(zip(names, line, strict=True)) for line in lines}
    table = {row["slide"]: row for row in pq.read_table(cohort / "cohort.parquet").to_pylist()}
    assert shown.keys() == table.keys()
    for index in range(12):
        name, run = f"slide-{index:02d}", slide_run(index)
        row, line = table[name], shown[name]
        wanted = {
            "µm/px": ("mpp", run["resolution"]["level0"]["mpp"]),
            "tissue, mm²": ("tissue_mm2", run["tissue"]["area_mm2"]),
            "nuclei": ("nuclei", run["counts"]["nuclei"]),
            "nuclei per mm²": ("nuclei_per_mm2", run["counts"]["nuclei"] / run["tissue"]["area_mm2"]),
            "patches": ("patches", index + 2),
            "time": ("seconds", run["timings"]["seconds"]),
        }
        for head_words, (column, value) in wanted.items():
            assert row[column] == value
            assert float(line[head_words][1] or "nan") == value, head_words
        assert float(line["memory, GiB"][1] or "nan") * 2**30 == row["peak_rss_bytes"] == run["peak_rss_bytes"]
        assert line["nuclei"][0] == f"{run['counts']['nuclei']:,}"
        assert line["time"][0] == duration(run["timings"]["seconds"])
        assert (
            line["quality"][0].split()
            == [*row["qc_warning_codes"], *row["qc_note_codes"]]
            == ["blur", "pen"][: index % 3]
        )
        assert (row["median_nuclei_per_mm2"], row["p95_nuclei_per_mm2"]) == (900 + index, 3000 + index)


def test_seconds_by_stage_are_those_of_run_json_and_add_up(cohort: Path) -> None:
    for row in pq.read_table(cohort / "cohort.parquet").to_pylist():
        if row["status"] == "done":
            stages = slide_run(int(row["slide"][-2:]))["timings"]["stages"]
            told = dict(row["stage_seconds"])
            assert told == {"ingest": stages[0]["seconds"], "coarser levels": stages[1]["seconds"] + 0.01}
            assert sum(told.values()) == pytest.approx(row["seconds"])


def test_totals_are_sums_of_the_table(cohort: Path) -> None:
    rows = [row for row in pq.read_table(cohort / "cohort.parquet").to_pylist() if row["status"] == "done"]
    text = Page(cohort / "report.html").text
    nuclei, tissue_mm2 = sum(row["nuclei"] for row in rows), sum(row["tissue_mm2"] for row in rows)
    for words in (
        "12slides done", "1failed", f"{tissue_mm2:,.4g} mm²tissue", f"{nuclei:,}nuclei",
        f"{nuclei / tissue_mm2:,.0f} per mm²nuclei over all tissue",
        f"{sum(row['patches'] for row in rows)}patches judged",
        f"{duration(sum(row['seconds'] for row in rows))}computed in",
    ):  # fmt: skip
        assert words in text.replace("\n", ""), words


def test_figures_of_large_cohorts_are_written_out(tmp_path: Path) -> None:
    for index in range(8):
        run = slide_run(1)
        run["tissue"]["area_mm2"] = 1234.5 + index
        finish(tmp_path, f"s{index}", json.dumps(run))
    write_cohort(tmp_path)
    text = Page(tmp_path / "report.html").text.replace("\n", "")
    assert "9,904 mm²tissue" in text
    assert "1,234" in text
    assert "e+0" not in text


def test_a_code_stands_once_however_many_findings_have_it(tmp_path: Path) -> None:
    found = [{"code": "not-told", "severity": "note"}] * 3
    finish(tmp_path, "a", json.dumps(slide_run(1) | {"qc": {"findings": found}}))
    (row,) = gather(tmp_path)
    assert (row.qc_note_codes, row.qc_notes) == (("not-told",), 3)


def test_failed_slides_come_first_with_reason_and_cure_and_no_link(cohort: Path) -> None:
    (head, line, *_) = Table(cohort / "report.html").rows
    told = {name: words for (name, _), (words, _) in zip(head, line, strict=True)}
    assert told["slide"] == "broken"
    for key in ("what", "cure", "path", "error"):
        assert str(FAILURE[key]) in told["status"]
    assert told["open"] == ""


def test_links_lead_to_the_report_and_to_the_viewer(cohort: Path) -> None:
    links = [link["href"] or "" for link in Page(cohort / "report.html").all("a")]
    assert "slide-03/report.html" in links
    assert "http://127.0.0.1:8300/slide/slide-03" in links


def test_plots_show_every_slide_up_to_forty_and_how_they_are_spread_beyond(tmp_path: Path) -> None:
    for index in range(41):
        finish(tmp_path, f"s{index:02d}", json.dumps(slide_run(index)))
        if index == 39:
            write_cohort(tmp_path)
            labels = [str(plot["aria-label"]) for plot in Page(tmp_path / "report.html").all("svg")]
            assert any("of 40 slides, largest first" in label for label in labels)
    write_cohort(tmp_path)
    labels = [str(plot["aria-label"]) for plot in Page(tmp_path / "report.html").all("svg")]
    assert any(label.startswith("Histogram of nuclei per mm² of tissue over 41 slides") for label in labels)


def test_one_slide_is_compared_with_nothing(tmp_path: Path) -> None:
    finish(tmp_path, "a", json.dumps(slide_run(1)))
    write_cohort(tmp_path)
    labels = [str(plot["aria-label"]) for plot in Page(tmp_path / "report.html").all("svg")]
    assert labels == ["How long each stage took, over all slides."]


def test_slides_that_stand_out_are_named_with_their_value(tmp_path: Path) -> None:
    for index in range(10):
        run = slide_run(1)
        run["counts"]["nuclei"] = 40_000 if index == 7 else 1000 + index
        finish(tmp_path, f"s{index}", json.dumps(run))
    write_cohort(tmp_path)
    text = Page(tmp_path / "report.html").text
    density = 40_000 / slide_run(1)["tissue"]["area_mm2"]
    told = text[text.index("What stands out", 200) :]
    assert f"s7{density:,.0f}" in told
    assert "s6" not in told


def test_of_many_slides_the_first_have_pictures_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "MOST_PICTURES", 2)
    for index in range(4):
        finish(tmp_path, f"s{index}", json.dumps(slide_run(index)))
        Image.fromarray(np.full((40, 60, 3), index * 40, np.uint8)).save(tmp_path / f"s{index}" / "thumbnail.jpg")
    write_cohort(tmp_path)
    page = Page(tmp_path / "report.html")
    assert [image["alt"] for image in page.all("img")] == ["s0, all of it", "s1, all of it"]
    assert all((image["src"] or "").startswith("data:image/jpeg") for image in page.all("img"))
    assert "Pictures of the first 2 slides are in this page; 2 more would make it too large" in page.text


def test_a_picture_follows_its_file(tmp_path: Path) -> None:
    finish(tmp_path, "a", json.dumps(slide_run(1)))

    def shown(grey: int) -> str:
        Image.fromarray(np.full((40 + grey // 4, 60, 3), grey, np.uint8)).save(tmp_path / "a" / "thumbnail.jpg")
        write_cohort(tmp_path)
        (image,) = Page(tmp_path / "report.html").all("img")
        return image["src"] or ""

    assert shown(10) != shown(200)
    assert shown(10) == shown(10)


def test_the_page_fetches_nothing_and_runs_one_script_that_its_policy_names(cohort: Path) -> None:
    import base64
    import hashlib
    import re

    html = (cohort / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in policy or f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:; ")
    page = Page(cohort / "report.html")
    assert not page.all("link")
    assert not page.all("iframe")
    assert all((image["src"] or "").startswith("data:") for image in page.all("img"))


@pytest.mark.slow
def test_ten_thousand_slides_take_bounded_memory_and_a_page_that_can_be_sent(tmp_path: Path) -> None:
    from tests.memory import most_growth_below

    pixels = np.random.default_rng(0).integers(0, 255, (192, 192, 3), np.uint8)
    (tmp_path / "thumbnail.jpg").write_bytes(small_jpeg(pixels))  # as many bytes as a picture can have
    for index in range(10_000):
        finish(tmp_path, f"slide-{index:05d}", json.dumps(slide_run(index)))
        shutil.copy(tmp_path / "thumbnail.jpg", tmp_path / f"slide-{index:05d}")
    with most_growth_below(400 * 2**20):
        write_cohort(tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 30 * 2**20
    assert len(Table(tmp_path / "report.html").rows) == 10_001


def test_hostile_names_in_every_field_are_words(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "|")
    run = slide_run(1) | {"warnings": [HOSTILE], "input": {"path": HOSTILE}}
    run["resolution"]["mpp_source"] = '"><img src=x onerror=alert(1)>'
    run["timings"]["stages"] = [{"name": HOSTILE, "seconds": 3.0}]
    run["qc"] = {"findings": [{"code": HOSTILE, "severity": "warning"}]}
    for index in range(9):
        finish(tmp_path, f"{name}{index}", json.dumps(run))
    run["counts"] = {"nuclei": 10**9}
    finish(tmp_path, f"{name}!", json.dumps(run))
    write_cohort(tmp_path)
    page = Page(tmp_path / "report.html")
    assert page.all("img") == []
    assert len(page.all("script")) == 1
    assert not any(attribute.startswith("on") for _, attributes in page.tags for attribute in attributes)
    assert f"{name}!" in page.text[page.text.index("What stands out", 200) :]
    assert f"{name}3/report.html" in [unquote(link["href"] or "") for link in page.all("a")]
