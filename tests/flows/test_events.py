"""The events of --log-json are those of docs/reference/events.md: none else, and each of them."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from pipeline.bucket import Bucket
from pipeline.object_url import ObjectUrl
from pipeline.synthetic import SyntheticTruth
from tests.s3_server import S3Server

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
LIGHT = ("--mpp", "0.25", "--sr", "none", "--classifier", "none", "--core-px", "256", "--device", "cpu")


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """Event to the fields that it always has, and to those that it may have."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| `([a-z-]+)` \| (.*?) \|", line)
        if row:
            fields = row[2].split(", ")
            optional = {field.strip("[]`") for field in fields if field.startswith("[")}
            found[row[1]] = ({field.strip("`") for field in fields if not field.startswith("[")}, optional)
    return found


def events(said: str) -> list[dict[str, Any]]:
    """Every line is an event that the page describes, field by field."""
    page = documented()
    found = [json.loads(line) for line in said.splitlines()]
    for event in found:
        always, maybe = page[event["event"]]
        fields = event.keys() - {"time", "event"}
        assert always <= fields <= always | maybe, event
        assert abs(event["time"] - time.time()) < 3600
    return found


def picture(nuclei_per_mm2: float = 1000) -> bytes:
    truth = SyntheticTruth(400, 420, 0.25, nuclei_per_mm2=nuclei_per_mm2, tissue_share=1.0)
    content = io.BytesIO()
    Image.fromarray(truth.render(truth.frame.box)).save(content, "PNG")
    return content.getvalue()


def said_by(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.exit_code, events(result.stderr)


def test_every_event_that_is_written_is_documented_and_every_documented_one_is_written(
    tmp_path: Path, s3: S3Server
) -> None:
    """Runs that end well, badly, in a bucket, before they begin, and by a signal."""
    (tmp_path / "tissue.png").write_bytes(picture())
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    out = tmp_path / "results"
    run = ("run", tmp_path / "tissue.png", tmp_path / "broken.svs", *LIGHT, "--out", out, "--log-json")
    code, first = said_by(*run)
    assert (code, first[-1]["event"], first[-1]["exit_code"]) == (3, "run-ended", 3)
    assert (first[0]["event"], first[0]["slides"]) == ("run-started", 2)
    _, second = said_by(*run)
    code, refused = said_by("run", tmp_path, *LIGHT, "--nuclei", "nuclei-unte", "--out", out, "--log-json")
    assert (code, refused[0]["exit_code"]) == (2, 2)
    assert "Did you mean nuclei-unet?" in refused[0]["cure"]
    bucket = ObjectUrl("s3", s3.new_bucket(), "")
    Bucket(bucket).put("slides/tissue.png", picture())
    staged = ("--nuclei", "none", "--out", bucket / "results", "--staging", tmp_path / "staging", "--log-json")
    _, published = said_by("run", bucket / "slides", *LIGHT, *staged)
    stopped = told_to_stop("run", tmp_path / "tissue.png", *LIGHT, "--out", tmp_path / "stopped", "--log-json")
    seen = {event["event"] for event in (*first, *second, *refused, *published, *stopped)}
    assert seen == documented().keys()


def told_to_stop(*arguments: object) -> list[dict[str, Any]]:
    """What a run says that gets SIGTERM when its first stage begins."""
    command = [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if '"event": "stage"' in line:
                process.send_signal(signal.SIGTERM)
                break
        said += process.stderr.read()
        code = process.wait()
    last = events(said)[-1]
    assert code == 143
    assert (last["event"], last["signal"], last["exit_code"]) == ("run-stopped", "SIGTERM", 143)
    return events(said)


def test_what_a_stages_time_went_to_is_kept_and_adds_up(tmp_path: Path) -> None:
    (tmp_path / "tissue.png").write_bytes(picture())
    out = tmp_path / "results"
    _, said = said_by("run", tmp_path / "tissue.png", *LIGHT, "--workers", "0", "--out", out, "--log-json")
    stages = {
        stage["name"]: stage for stage in json.loads((out / "tissue" / "run.json").read_text())["timings"]["stages"]
    }
    told = {event["stage"]: event for event in said if event["event"] == "stage-done"}
    assert told.keys() == stages.keys()
    for name, stage in stages.items():
        parts = [stage[part] for part in ("reading_s", "device_s", "writing_s")]
        assert min(parts) >= 0
        assert sum(parts) <= stage["work_s"] <= stage["seconds"]  # one thread: nothing at the same time
        assert told[name]["work_s"] == pytest.approx(stage["work_s"], abs=2e-3)
    assert stages["ingest"]["reading_s"] > 0 < stages["ingest"]["writing_s"]
    assert stages["ingest"]["device_s"] == 0
    assert stages["nuclei"]["device_s"] > stages["nuclei"]["writing_s"] > 0
    tiles = [event for event in said if event["event"] == "tiles" and event["stage"] == "nuclei"]
    assert tiles[-1]["done"] == tiles[-1]["of"] == stages["nuclei"]["tiles"]
    assert tiles[-1]["left_s"] == 0
