"""Figures are kept, come back as they were, and are compared by their own spread."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.bench.comparison import Beside, beside, unlike
from flows.bench.measurement import Better, Measurement
from flows.bench.record import append_document, as_json, document, read_document, rows_of, write_document
from flows.bench.subject import Subject
from flows.bench.table import figure, print_comparison, print_rows
from flows.cli import app
from pipeline.errors import ConfigError


def row(*values: float, better: Better = "higher", name: str = "tiffslide, 512 px, 1 thread") -> Measurement:
    return Measurement("reading", name, "megapixels/s", better, values, "from memory", "torch", {"megapixels/s": 2.0})


@pytest.mark.parametrize(
    ("before", "now", "higher_is", "lower_is"),
    [
        ((10, 12), (14, 16), "better", "worse"),  # 11 +- 1 to 15 +- 1
        ((14, 16), (10, 12), "worse", "better"),
        ((10, 12), (12, 14), "", ""),  # 11 +- 1 to 13 +- 1: they touch
        ((10, 10), (10, 10), "", ""),
        ((10, 30), (25, 25), "", ""),  # a spread of 10 before
        ((10,), (20, 20), "", ""),  # measured once: nobody knows
        ((10, 10), (20,), "", ""),
    ],
)
def test_a_mark_stands_where_medians_part_by_more_than_both_spreads(
    before: tuple[float, ...], now: tuple[float, ...], higher_is: str, lower_is: str
) -> None:
    assert Beside(row(*now), row(*before)).verdict == higher_is
    assert Beside(row(*now, better="lower"), row(*before, better="lower")).verdict == lower_is


def test_a_ratio_is_new_over_old_of_the_row_of_the_same_name() -> None:
    now = [row(30.0, 30.0), row(1.0, 1.0, name="openslide")]
    compared = beside(now, [row(5.0, name="decoding limit"), row(20.0, 20.0)])
    assert [one.ratio for one in compared] == [1.5, None]
    assert [one.verdict for one in compared] == ["better", ""]


def test_what_else_differs_is_named() -> None:
    before = {"machine": {"cores": 2, "gpus": []}, "slide": None, "quick": False, "histoloom": "0.1.0"}
    assert unlike(before, before) == []
    now = {**before, "machine": {"cores": 16, "gpus": ["H200"]}, "slide": "a.svs", "quick": True}
    assert unlike(now, before) == [
        "cores: 16 now, 2 before",
        "GPUs: H200 now, none before",
        "the slide: a.svs now, a synthetic one before",
        "--quick: yes now, no before",
    ]


def test_figures_come_back_from_json_and_from_the_last_line_of_a_history(tmp_path: Path) -> None:
    rows = [row(1.0, 2.5), row(3.0, better="lower", name="other")]
    content = document(Subject(tmp_path, repeat=2), rows, quick=True)
    write_document(content, tmp_path / "a.json")
    append_document(document(Subject(tmp_path), [row(9.0)], quick=True), tmp_path / "history")
    append_document(content, tmp_path / "history")
    assert (tmp_path / "history").read_text().count("\n") == 2
    for file in ("a.json", "history"):
        assert read_document(tmp_path / file) == content
        assert rows_of(read_document(tmp_path / file)) == rows
    assert (as_json(rows[0])["median"], as_json(rows[0])["spread"]) == (1.75, 0.75)
    assert {"processor", "cores", "gpus", "load", "network_threads"} <= content["machine"].keys()
    assert content["versions"]["torch"]


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"rows": [{}]}', '{"rows": [{"values": []}]}'])
def test_other_files_are_no_figures(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ConfigError, match=r"a\.json"):
        read_document(tmp_path / "a.json")


def test_tables_fit_into_80_columns_and_cut_nothing_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "breakhis-hybrid 112 px, cuda:0 bf16"
    figures = {"megapixels/s": 12345.6, "share of product": 0.456, "hidden": 1.0}
    network = Measurement("networks", name, "ms/tile", "lower", (1234.0, 1300.0), "tiles", "openvino", figures)
    reading = row(101234.0, 99000.0, name="tiffslide, 4,096 px, 16 threads")
    print_rows([network, reading])
    print_comparison([Beside(network, network), Beside(reading, row(1.0, 1.0))], ["cores: 2 now, 3 before"])
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert "…" not in told
    words = " ".join(told.split())
    for word in (
        "tiffslide, 4,096 px, 16 threads",
        "openvino",
        "1,267",
        "46%",
        "12,346",
        "± 3%",
        "better",
        "Not alike: cores: 2 now, 3 before.",
        "1.00",
    ):
        assert word in words
    assert "hidden" not in words


def test_a_narrow_terminal_has_figures_without_what_stands_beside_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    network = Measurement(
        "networks", "sr-x2, cpu fp32", "ms/tile", "lower", (12.5,), "", "torch", {"megapixels/s": 7.77}
    )
    print_rows([network, row(101234.0)])
    print_comparison([Beside(network, network), Beside(row(3.0), row(1.25))], [])
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 50
    assert {"12.5", "101,234", "1.00", "2.40"} <= set(told.split())
    assert "7.77" not in told


@pytest.mark.parametrize(("value", "told"), [(0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")])
def test_figures_have_three_digits(value: float, told: str) -> None:
    assert figure(value) == told


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--compare", "none.json"], "none.json"),
        (["--compare", "other.json"], "other.json: not the figures of a bench"),
        (["--json", "absent/a.json"], "--json absent/a.json: cannot be written"),
        (["--history", "."], "--history .: cannot be written"),
        (["--only", "nothing"], "no row's name has these words"),
        (["--slide", "none.svs"], "none.svs: there is no such file"),
    ],
)
def test_wrong_options_get_two_lines(
    options: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.json").write_text("{}")
    done = CliRunner().invoke(app, ["bench", "--quick", *options])
    assert done.exit_code == 2
    first, second = done.stderr.splitlines()
    assert what in first
    assert second


def test_the_command_prints_keeps_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    first = CliRunner().invoke(app, ["bench", "--quick", "--only", "tissue", "--json", "a.json", "--history", "h"])
    assert first.exit_code == 0, first.output
    assert "mask of the slide" in first.stdout
    assert first.stderr == ""
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "h").read_text())
    again = CliRunner().invoke(app, ["bench", "--quick", "--only", "tissue", "--compare", "h"])
    assert "new/old" in again.stdout
    assert "Not alike" not in again.stdout
    alone = CliRunner().invoke(app, ["bench", "--quick", "--only", "of the slide", "--json", "-", "--repeat", "1"])
    (only,) = json.loads(alone.stdout)["rows"]
    assert (only["name"], len(only["values"]), only["spread"]) == ("mask of the slide", 1, None)
