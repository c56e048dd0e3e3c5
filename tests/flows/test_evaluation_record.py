"""What is written of an evaluation, and what is printed."""

from __future__ import annotations

import json
import math

import pytest

from flows.evaluation_record import print_metrics, record
from flows.image_by_image import Skipped

RESULT = record(
    "superresolution",
    "Whole images",
    bundle={"name": "my-x2", "sha256": "0" * 64},
    patients_trained_on=["p1"],
    images=[{"file": "a.png", "figures": {"psnr_rgb": math.inf}}],
    skipped=[Skipped("b.png", "/data/b.png: no readable image")],
    totals={
        "psnr_rgb": {"mean": 37.2468, "sd": 4.1},
        "psnr_rgb_gain": {"mean": 2.5, "sd": 0.5},
        "psnr_rgb_gain_95": (2.125, 2.875),
        "qilv": {"mean": math.nan, "sd": math.nan},
        "qilv_gain_95": (math.nan, math.nan),
        "confusion": [[3, 1], [0, 4]],
        "images": 6,
    },
    baseline={"method": "bicubic interpolation", "psnr_rgb": {"mean": 34.68, "sd": 4.3}},
)


def test_a_record_is_strict_json_and_names_the_versions() -> None:
    again = json.loads(json.dumps(RESULT, allow_nan=False))
    assert again == RESULT
    assert again["totals"]["psnr_rgb_gain_95"] == [2.125, 2.875]
    assert again["totals"]["qilv"] == {"mean": None, "sd": None}
    assert again["images"][0]["figures"]["psnr_rgb"] is None
    assert again["skipped"] == [{"file": "b.png", "reason": "/data/b.png: no readable image"}]
    assert {"histoloom", "torch", "numpy"} <= set(again["versions"])


def test_the_table_has_a_row_a_figure_with_interval_and_baseline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    print_metrics(RESULT)
    out, err = capsys.readouterr()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines() if line.strip()}
    assert rows["figure"] == "my-x2 95 % interval bicubic interpolation"
    assert rows["psnr_rgb"] == "37.25 ± 4.1 34.68 ± 4.3"
    assert rows["psnr_rgb_gain"] == "2.5 ± 0.5 2.125 to 2.875"
    assert rows["qilv"] == ""
    assert rows["images"] == "6"
    assert rows["confusion"] == "3 1"
    assert rows["Whole"] == "images"
    assert "psnr_rgb_gain_95" not in out
    skipped, trained_on = err.splitlines()
    assert skipped == "skipped: b.png: /data/b.png: no readable image"
    assert trained_on.startswith("1 of these patients are named among those that the network was trained on (p1)")


def test_organs_have_a_table_of_their_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    figures = {"dice": {"mean": 0.75, "sd": 0.0}, "absolute_relative_count_error_median": 0.125, "images": 2}
    print_metrics({**RESULT, "organs": {"umbilical cord": {"totals": figures}, "liver": {"totals": {"images": 1}}}})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["organ", "images", "Dice", "count", "error,", "median"] in rows
    assert ["umbilical", "cord", "2", "0.75", "±", "0", "0.125"] in rows
    assert ["liver", "1"] in rows
