"""Cohorts under Prefect: parameters and states in this process, then a real server, a real worker, real runs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prefect.states import Failed

from flows.deployments import cohort, process_slide_task
from flows.parameters import Settings, chosen_config
from pipeline.config import SlideConfig
from pipeline.errors import ConfigError, DiskFull, HistoloomError, NoTissue, ResourceLost, UnreadableSlide
from tests.flows.prefect_server import Prefect

INGEST_ALONE = {"sr": "none", "nuclei": "none", "classifiers": []}


def test_the_form_has_every_setting() -> None:
    assert set(Settings.model_fields) == {field.name for field in fields(SlideConfig)}


def test_a_setting_that_does_not_fit_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    with pytest.raises(ConfigError, match=r"stride_share = 0.3 will not do"):
        cohort.fn([str(tmp_path)], str(tmp_path / "out"), settings=Settings(stride_share=0.3))
    assert not (tmp_path / "out").exists()


def test_settings_stand_above_the_cohorts_file(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text('core_px = 512\nnuclei = "of-the-file"\n')
    config = chosen_config(Settings(nuclei="of-the-settings"), str(tmp_path / "cohort.toml"))
    assert (config.slide.nuclei, config.slide.core_px) == ("of-the-settings", 512)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ResourceLost("/data/a.svs: stale file handle"), True),
        (DiskFull("/out: no space left"), True),
        (UnreadableSlide("/data/a.svs: no slide"), False),
        (NoTissue("/data/a.svs: no tissue found"), False),
        (ConfigError("sr = 'x'"), False),
    ],
)
def test_a_lost_resource_alone_is_worth_another_try(error: HistoloomError, again: bool) -> None:
    worth_it = process_slide_task.retry_condition_fn
    assert worth_it is not None
    assert worth_it(process_slide_task, None, Failed(data=error)) is again  # type: ignore[arg-type]
    assert process_slide_task.retries > 0


@pytest.mark.server
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("deployment", "required"),
    [("cohort/local", ["slides", "out"]), ("slide/local", ["slide", "out"]), ("watch/inbox", ["inbox", "out"])],
)
def test_the_server_has_a_form_of_every_deployment(prefect: Prefect, deployment: str, required: list[str]) -> None:
    found = prefect.deployment(deployment)
    schema = found["parameter_openapi_schema"]
    assert found["enforce_parameter_schema"]
    assert schema["required"] == required
    assert all(parameter.get("description") for parameter in schema["properties"].values())
    settings = schema["definitions"]["Settings"]
    assert settings["additionalProperties"] is False
    assert {"enum": ["auto", "fp32", "bf16"], "type": "string"} in settings["properties"]["precision"]["anyOf"]


@pytest.mark.server
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "wrong",
    [
        {"slides": "/data/a.svs"},
        {"slides": []},
        {"workers": -1},
        {"settings": {"nucleus": "none"}},
        {"settings": {"mpp": 250}},
        {"settings": {"device": "gpu"}},
        {"slide_timeout_minutes": 0},
    ],
    ids=str,
)
def test_the_server_refuses_parameters_that_do_not_fit(prefect: Prefect, wrong: dict[str, object]) -> None:
    with pytest.raises(HTTPError) as refused:
        prefect.hand_in("cohort/local", **({"slides": ["/data/a.svs"], "out": "/data/results"} | wrong))
    assert refused.value.code in (409, 422)


@pytest.mark.server
@pytest.mark.timeout(1800)
def test_a_results_folder_of_a_slide_leads_nowhere_else(prefect: Prefect) -> None:
    for name in ("..", "../../etc", "/etc", "a/b", ""):
        with pytest.raises(HTTPError):
            prefect.hand_in("slide/local", slide="/data/a.svs", out="/data/results", name=name)


@pytest.mark.server
@pytest.mark.timeout(1800)
def test_a_deployed_cohort_shows_what_it_found(prefect: Prefect, good_slide: Path, tmp_path: Path) -> None:
    out, slides = tmp_path / "out", [str(good_slide)]
    run = prefect.run(
        "cohort/local", slides=slides, out=str(out), settings=INGEST_ALONE, results_url="http://slides.example/r"
    )
    assert run["state"]["type"] == "COMPLETED", prefect.logs()
    assert (out / good_slide.stem / "run.json").is_file()
    prefect.wait_for_line(run["id"], f"{good_slide.stem}: stage ")
    shown = prefect.artifacts(run["id"])
    assert {key.partition("-")[0]: artifact["type"] for key, artifact in shown.items()} == {
        "slide": "markdown",
        "cohort": "table",
        "report": "markdown",
    }
    of_slide = shown[f"slide-{good_slide.stem.lower()}"]["data"]
    assert "![preview](data:image/jpeg;base64," in of_slide
    assert len(of_slide) < 200_000
    assert f"(http://slides.example/r/{good_slide.stem}/report.html)" in of_slide


@pytest.mark.server
@pytest.mark.timeout(1800)
def test_a_bad_slide_fails_the_cohort_with_its_reason_and_the_good_one_is_done(
    prefect: Prefect, good_slide: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "no-slide.svs"
    bad.write_text("This is a text file.")
    slides = [str(bad), str(good_slide)]
    run = prefect.run("cohort/local", slides=slides, out=str(tmp_path / "out"), settings=INGEST_ALONE)
    assert run["state"]["type"] == "FAILED"
    assert (tmp_path / "out" / good_slide.stem / "run.json").is_file()
    assert run["state"]["message"].startswith("slides failed: 1 of 2")
    assert f"no-slide: {bad}: not a slide that can be read" in run["state"]["message"]
    assert prefect.tasks(run["id"]) == {"no-slide.svs": ("FAILED", 1), good_slide.name: ("COMPLETED", 1)}
