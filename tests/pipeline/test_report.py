from __future__ import annotations

import copy
import tempfile
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.density import DENSITY
from pipeline.geometry import Frame
from pipeline.preview import draw_preview, write_preview
from pipeline.record import Record
from pipeline.report import write_slide_report
from pipeline.report_facts import duration, facts, rounded
from pipeline.report_time import stage_times, time_plot
from tests.memory import most_growth_below
from tests.pipeline.finished_slide import Parts, add_map, make_run, make_slide, read_run

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)>\'&'
MILLION = pa.schema([("area_um2", pa.float64()), ("probability", pa.float64())])
_VOID = {"meta", "img", "line", "rect", "path", "input", "br"}

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


class Page(HTMLParser):
    """Checks that elements are closed in order; keeps what was seen. Scripts and styles are no text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_slide(tmp_path_factory.mktemp("results"), "slide-7")
    write_preview(folder, read_run(folder))
    return folder


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return [path, *(leaf for key, entry in entries for leaf in leaves(entry, (*path, key)))]
    return [path]


def changed(run: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    run = copy.deepcopy(run)
    inner: Any = run
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return run


def test_a_page_is_the_same_before_its_picture_is_written(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, "early")
    drawn = draw_preview(folder, read_run(folder))
    early = write_slide_report(folder, read_run(folder), drawn).read_bytes()
    assert not (folder / "preview.png").exists()
    write_preview(folder, read_run(folder))
    assert write_slide_report(folder, read_run(folder)).read_bytes() == early


def test_a_page_tells_what_was_found_with_units(finished: Path) -> None:
    page = Page(write_slide_report(finished, read_run(finished)))
    for words in (
        "slide-7", "300 × 250 px", "0.5 µm/px, says aperio.MPP", "×2 to 0.25 µm/px", "6 per mm², over 0.5 mm²",
        "detail below 0.5 um is estimated, not measured", "middle half", "1 min 11 s", "1.00 GiB", "ab" * 32, "cd" * 32,
        "100.0%", "of 255 grey levels", "Not a medical device", "ingest", "0.75",
    ):  # fmt: skip
        assert words in page.text, words


def test_a_page_tells_how_close_nuclei_lie(finished: Path) -> None:
    run = read_run(finished)
    assert "Densest places" not in Page(write_slide_report(finished, run)).text
    figures = {"sigma_um": 50.0, "mean_per_mm2": 3123.4, "median_per_mm2": 2950, "p95_per_mm2": 7904}
    page = Page(write_slide_report(finished, run | {"nuclei_density": figures}))
    for words in (
        "Density from place to place",
        "median 2,950 per mm²",
        "95% of tissue at most 7,904 per mm²",
        "over 50 µm",
    ):
        assert words in page.text, words


def test_a_page_shows_how_close_nuclei_lie_where_they_were_mapped(tmp_path: Path) -> None:
    folder = make_slide(tmp_path)
    assert "How close they lie" not in Page(write_slide_report(folder, read_run(folder))).text
    add_map(folder, DENSITY, (3000.0,), ("nuclei per mm2",))
    page = Page(write_slide_report(folder, read_run(folder)))
    assert "10,000 and more" in page.text
    assert len(page.all("img")) == len(Page(write_slide_report(make_slide(tmp_path, "b"), {})).all("img")) + 2


def test_a_page_shares_tissue_out_and_shows_the_surest_patches(finished: Path) -> None:
    page = Page(write_slide_report(finished, read_run(finished)))
    words = " ".join(page.text.split())
    # Of the map's 63 x 75 px of 2 um, 37 columns were judged, and IDC has a probability of 0.75 there.
    assert "Tissue judged0.009324 mm²" in words
    assert "Counts as IDCfrom a probability of 0.5" in words
    assert "IDC 0.009324100.0%10.00932 mm², around x 0.04 mm, y 0.06 mm 4" in words
    assert "Framed: the largest focus of IDC" in words
    assert "Surest patches: IDC" in words
    assert "0.750 at x 0.00, y 0.00 mm" in words
    assert "Surest patches: other" not in words


def test_the_operating_point_of_the_card_decides_and_a_wrong_one_is_named(finished: Path) -> None:
    run = read_run(finished)
    run["plan"]["postprocessing"] = {"idc-hybrid": {"operating_point": 0.8}}
    words = " ".join(Page(write_slide_report(finished, run)).text.split())
    assert "Counts as IDCfrom a probability of 0.8" in words
    assert "0.00932 mm², around" in words  # of the other class now
    assert "Framed" not in words
    run["plan"]["postprocessing"] = {"idc-hybrid": {"operating_point": "often"}}
    assert "operating_point = 'often'" in Page(write_slide_report(finished, run)).text


def test_a_page_says_so_where_nothing_was_judged(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, parts=Parts(heat=False))
    add_map(folder, "heatmaps/idc-hybrid", (float("nan"),) * 2, ("other", "IDC"))
    words = " ".join(Page(write_slide_report(folder, read_run(folder))).text.split())
    assert "Nothing was judged: no patch holds enough tissue" in words
    assert "Tissue judged0 mm²" in words


def test_a_page_is_whole_in_itself_and_can_be_read_aloud(finished: Path) -> None:
    page = Page(write_slide_report(finished, read_run(finished)))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert page.all("script") == []
    assert len(page.all("img")) >= 2
    for image in page.all("img"):
        assert image["alt"]
        assert (image["src"] or "").startswith("data:image/")
    assert all(drawing.get("aria-label") for drawing in page.all("svg"))


def test_the_same_folder_gives_the_same_page_and_the_file_is_left_alone(finished: Path) -> None:
    path = write_slide_report(finished, read_run(finished))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    write_slide_report(finished, read_run(finished))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_words_from_files_are_never_markup(tmp_path: Path) -> None:
    parts = Parts(classes=("other", HOSTILE.replace("/", "|")))
    folder = make_slide(tmp_path, HOSTILE.replace("/", "|"), parts=parts)
    run = read_run(folder)
    for path in leaves(run):
        if path and not isinstance(path[-1], int):
            run[f"{HOSTILE}{path}"] = HOSTILE
    for path in leaves(run):
        value: Any = run
        for key in path:
            value = value[key]
        if isinstance(value, str):
            run = changed(run, path, HOSTILE)
    run["counts"]["patches"] = {HOSTILE: 3}
    run["plan"]["settings"] = run["versions"] = run["devices"] = {HOSTILE: HOSTILE}
    page = Page(write_slide_report(folder, run))
    assert page.all("script") == []
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(HOSTILE) > 10


@settings(max_examples=60, deadline=None)
@given(ODD | st.dictionaries(st.text(max_size=4), ODD, max_size=4), st.data())
def test_an_odd_run_json_never_keeps_a_page_from_being_written(value: Any, data: st.DataObject) -> None:
    run = make_run("slide", Frame(250, 300, 0.5), Parts())
    path = data.draw(st.sampled_from([leaf for leaf in leaves(run) if leaf]))
    with tempfile.TemporaryDirectory() as folder:
        Page(write_slide_report(Path(folder), changed(run, path, value)))


@pytest.mark.parametrize("broken", ["preview.png", "nuclei.parquet", "patches.parquet"])
def test_a_broken_file_is_named_and_the_rest_of_the_page_stands(tmp_path: Path, broken: str) -> None:
    folder = make_slide(tmp_path)
    (folder / broken).write_bytes(b"PAR1 not really")
    page = Page(write_slide_report(folder, read_run(folder)))
    assert "cannot be shown" in page.text
    assert "300 × 250 px" in page.text


@pytest.mark.parametrize("place", [16, 100])
def test_a_preview_that_says_it_is_absurdly_large_or_is_torn_is_named(tmp_path: Path, place: int) -> None:
    folder = make_slide(tmp_path)
    content = bytearray(write_preview(folder, read_run(folder)).read_bytes())
    content[place : place + 8] = b"\x00\x01\x00\x00\x00\x01\x00\x00"  # at 16 stand width and height
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (folder / "preview.png").write_bytes(content)
    assert "The preview cannot be shown" in Page(write_slide_report(folder, read_run(folder))).text


def test_an_empty_folder_has_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    page = Page(write_slide_report(tmp_path, {}))
    assert "The preview cannot be shown" in page.text


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.04 s"), (59.4, "59.4 s"), (71.0, "1 min 11 s"), (3599.8, "1 h 0 min")]
)
def test_durations_are_told_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(0.0, 3, "0"), (0.0000123456, 3, "0.0000123"), (0.71224, 3, "0.712"), (2.0, 4, "2"), (99.96, 3, "100"),
     (1234.5, 3, "1,234"), (152_345.2, 4, "152,345")],
)  # fmt: skip
def test_figures_have_so_many_digits_and_no_exponent(value: float, digits: int, words: str) -> None:
    assert rounded(value, digits) == words


def test_times_are_told_to_the_minute_and_other_words_stay(tmp_path: Path) -> None:
    run = read_run(make_slide(tmp_path)) | {"finished": "2026-11-22T09:11:24+01:00"}
    assert dict(facts(Record(run)))["Finished"] == "2026-11-22 08:11 UTC"
    assert dict(facts(Record(run | {"finished": "yesterday"})))["Finished"] == "yesterday"


def test_a_slide_that_is_worked_on_whole_has_no_green_line(tmp_path: Path) -> None:
    folder = make_slide(tmp_path)
    run = read_run(folder)
    write_preview(folder, run)
    assert "The green line" in Page(write_slide_report(folder, run)).text
    run["plan"]["settings"]["tissue"] = "all"
    assert "The green line" not in Page(write_slide_report(folder, run)).text


def test_stages_of_levels_are_told_together_and_no_time_is_none_of_it() -> None:
    names = {"ingest": 100.0, "quality-labels/0": 0.25, "quality-labels/1": 0.2, "pyramid/image/1": 1.0}
    stages = [{"name": name, "seconds": seconds, "tiles": 2} for name, seconds in names.items()]
    told = stage_times(Record({"timings": {"stages": stages}}))
    assert [(stage.name, stage.seconds, stage.tiles) for stage in told] == [
        ("ingest", 100.0, 2), ("quality-labels", 0.45, 4), ("coarser levels", 1.0, 2),
    ]  # fmt: skip
    plot = time_plot(told, "times", "times")
    assert plot
    assert [words for _, words in plot.rows] == ["1 min 40 s, 99%", "1 s, 1%", "0.45 s, <1%"]


def test_a_million_nuclei_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    folder = make_slide(tmp_path, parts=Parts(sr=False, heat=False))
    random = np.random.default_rng(0)
    with pq.ParquetWriter(folder / "nuclei.parquet", MILLION) as writer:
        for _ in range(16):
            columns = {"area_um2": random.gamma(4, 8, 62_500), "probability": random.beta(9, 1, 62_500)}
            writer.write_table(pa.table(columns, MILLION))
    write_slide_report(folder, {})
    with most_growth_below(48 * 2**20):
        page = Page(write_slide_report(folder, {}))
    assert any("areas of 1,000,000 nuclei" in str(plot["aria-label"]) for plot in page.all("svg"))
