"""A trace says which thread did what when, and tells on what it hears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from pipeline.synthetic import SyntheticTruth

LIGHT = ("--mpp", "0.25", "--sr", "none", "--classifier", "none", "--core-px", "256", "--device", "cpu", "--qc", "off")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "tissue.png"
    truth = SyntheticTruth(600, 620, 0.25, nuclei_per_mm2=1000, tissue_share=1.0)
    Image.fromarray(truth.render(truth.frame.box)).save(path)
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["run", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_batch_is_a_bar_with_what_it_was_spent_on_beneath(slide: Path, tmp_path: Path, workers: int) -> None:
    trace = tmp_path / "trace.json"
    done = run(slide, *LIGHT, "--out", tmp_path / "out", "--workers", workers, "--profile", trace)
    assert done.exit_code == 0
    events = json.loads(trace.read_text())
    stages = {event["name"]: event for event in events if event["cat"] == "stage"}
    batches = [event for event in events if event["cat"] == "batch"]
    told = json.loads((tmp_path / "out" / "tissue" / "run.json").read_text())["timings"]["stages"]
    assert {stage["name"] for stage in told} == stages.keys()
    assert sum(stage["batches"] for stage in told) == len(batches)
    assert len({event["pid"] for event in batches}) == workers
    slack = 20_000  # two clocks, in microseconds
    for batch in batches:
        stage = stages[batch["name"]]
        assert stage["ts"] - slack <= batch["ts"]
        assert batch["ts"] + batch["dur"] <= stage["ts"] + stage["dur"] + slack
        row = batch["pid"], batch["tid"]
        inside = [
            event
            for event in events
            if event["cat"] == batch["name"]
            and (event["pid"], event["tid"]) == row
            and batch["ts"] - slack <= event["ts"] <= batch["ts"] + batch["dur"]
        ]
        assert any(event["name"] == "writing" for event in inside)
    nuclei = [event for event in events if event["cat"] == "nuclei"]
    assert {"reading", "device", "writing"} == {event["name"] for event in nuclei}
    assert [event["args"]["end"] for event in events if event["cat"] == "slide"] == ["done"]


def test_a_slide_that_fails_is_in_it_and_the_file_is_whole(tmp_path: Path) -> None:
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    trace = tmp_path / "trace.json"
    assert run(tmp_path / "broken.svs", *LIGHT, "--out", tmp_path / "out", "--profile", trace).exit_code == 3
    assert [event["args"]["end"] for event in json.loads(trace.read_text())] == ["failed"]


def test_where_it_cannot_be_written_nothing_is_begun(slide: Path, tmp_path: Path) -> None:
    refused = run(slide, *LIGHT, "--out", tmp_path / "out", "--profile", tmp_path / "away" / "trace.json")
    assert refused.exit_code == 2
    assert len(refused.stderr.strip().splitlines()) == 2
    assert not (tmp_path / "out" / "tissue").exists()
