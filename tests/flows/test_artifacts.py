"""Names of slides are free; keys and markup of Prefect's artifacts are not."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flows.artifacts import artifact_key
from flows.slots import place_of_work
from pipeline.cluster_config import CudaProcesses, SlurmJobs
from pipeline.config import SlideConfig
from pipeline.schedule import Workforce


@given(st.text())
def test_a_key_has_small_letters_digits_and_dashes_whatever_the_slide_is_called(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", artifact_key("slide", name))


@given(st.text(), st.text())
def test_slides_of_two_names_have_two_keys(one: str, two: str) -> None:
    assume(one.lower() != two.lower())
    assert artifact_key("slide", one) != artifact_key("slide", two)


@pytest.mark.parametrize(
    ("device", "visible", "place"),
    [("cpu", None, "cpu"), ("cuda", None, "cuda0"), ("cuda:1", "4,7", "cuda7"), ("cuda:0", "GPU-8f2a", "cudaGPU-8f2a")],
)
def test_the_place_of_work_is_the_machines_own_number_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, place: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node1.example.org")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert place_of_work(SlideConfig(device=device), Workforce()) == f"slide-on-node1.example.org-{place}"


def test_with_dask_the_place_of_work_is_the_scheduler() -> None:
    assert place_of_work(SlideConfig(), Workforce(scheduler="tcp://node1:8786")) == "slide-on-node1-8786"


def test_with_a_cluster_the_place_of_work_is_the_cluster_not_the_machine_that_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "login")
    assert place_of_work(SlideConfig(), Workforce(cluster=SlurmJobs())) == "slide-on-slurm"
    assert place_of_work(SlideConfig(), Workforce(cluster=CudaProcesses())) == "slide-on-login-cuda"
