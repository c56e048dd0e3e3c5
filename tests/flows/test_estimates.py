"""What a run reckons before it begins, what it refuses, and how far it was from the truth."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.cohort import Cohort, SlideOutcome, process_cohort
from flows.estimates import machine_of, needs_of
from flows.networks import choose_networks
from flows.progress import Quiet
from models.shelf import CARD_FILE, find_bundle
from pipeline.budget_config import Budget
from pipeline.cluster_config import CudaProcesses, KubernetesPods, SlurmJobs
from pipeline.config import CohortConfig, SlideConfig
from pipeline.errors import OverBudget
from pipeline.schedule import Workforce, count_cores
from pipeline.synthetic import SyntheticTruth

SIDE_PX = 580


class Planned(Quiet):
    """Keeps what a run says of its plan."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def slide(self, name: str, event: str, **facts: Any) -> None:
        if event == "planned":
            self.facts = facts


def picture(folder: Path) -> Path:
    truth = SyntheticTruth(SIDE_PX, SIDE_PX, 1.0, tissue_share=1.0)
    path = folder / "tissue.png"
    Image.fromarray(truth.render(truth.frame.box)).save(path)
    return path


def run(folder: Path, budget: Budget, progress: Quiet) -> SlideOutcome:
    path = picture(folder)
    config = SlideConfig(mpp=1.0, sr="none", nuclei="none", tissue="all", device="cpu")
    cohort = Cohort((path,), folder / "out", CohortConfig(config, budget=budget))
    (outcome,) = process_cohort(cohort, Workforce(processes=0), progress)
    return outcome


def test_a_run_says_what_it_will_take_and_keeps_it(tmp_path: Path) -> None:
    planned = Planned()
    outcome = run(tmp_path, Budget(), planned)
    assert outcome.run is not None, outcome.error
    assert set(planned.facts) == {"disk", "memory", "minutes"}
    reckoned = outcome.run["estimated"]
    taken = sum(path.stat().st_size for path in (tmp_path / "out" / "tissue").rglob("*") if path.is_file())
    assert taken < reckoned["disk_bytes"]


def test_a_process_of_its_own_takes_no_more_memory_than_three_times_what_was_reckoned(tmp_path: Path) -> None:
    path = picture(tmp_path)
    options = "--mpp 1 --sr none --nuclei none --tissue all --device cpu --workers 0 --out"
    program = "from flows.cli import main; main()"
    command = [sys.executable, "-c", program, "run", str(path), *options.split(), str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True)
    told = json.loads((tmp_path / "out" / "tissue" / "run.json").read_text())
    reckoned = told["estimated"]
    assert told["peak_rss_bytes"] < 3 * (reckoned["process_bytes"] + reckoned["batch_bytes"])


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(max_memory_bytes=2**20), "--max-memory allows 1 MiB"),
        (Budget(max_disk_bytes=2**10), "--max-disk allows"),
    ],
)
def test_what_cannot_fit_is_a_row_with_the_figures_and_nothing_is_begun(
    tmp_path: Path, budget: Budget, words: str
) -> None:
    outcome = run(tmp_path, budget, Quiet())
    assert isinstance(outcome.error, OverBudget)
    assert words in outcome.error.what
    begun = {path.name for path in (tmp_path / "out" / ".partial" / "tissue").iterdir()}
    assert begun == {"failed.json"}


def test_threads_share_the_cores_of_this_machine() -> None:
    one, serial = machine_of(Workforce(processes=1), cuda=False), machine_of(Workforce(processes=0), cuda=False)
    assert (one.processes, serial.at_once) == (1, 1)
    assert one.at_once == count_cores()
    assert one.memory_bytes == serial.memory_bytes


def test_matrices_of_bf16_take_a_third_of_the_time() -> None:
    plain, amx = (machine_of(Workforce(), cuda=False, amx=amx) for amx in (False, True))
    assert amx.multiply_adds_per_s == 3 * plain.multiply_adds_per_s


def test_of_a_cluster_each_worker_is_a_machine_and_many_take_less_time() -> None:
    elsewhere = machine_of(Workforce(cluster=SlurmJobs(workers=100, threads=3, memory="12G")), cuda=True)
    assert (elsewhere.processes, elsewhere.threads, elsewhere.cuda, elsewhere.count) == (1, 3, True, 100)
    assert elsewhere.memory_bytes == 12 * 2**30
    pods = machine_of(Workforce(cluster=KubernetesPods(image="i", memory="16Gi")), cuda=False)
    assert (pods.memory_bytes, pods.count) == (16 * 2**30, 1)


def test_of_workers_that_others_started_memory_is_not_known() -> None:
    assert machine_of(Workforce(scheduler="tcp://node1:8786"), cuda=False).memory_bytes > 2**50
    assert machine_of(Workforce(cluster=CudaProcesses(devices=("0", "1", "5"))), cuda=True).processes == 3


def test_two_classifiers_with_the_same_weights_are_both_reckoned_with(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(find_bundle("idc-hybrid"), copy)
    card = json.loads((copy / CARD_FILE).read_text("utf-8"))
    (copy / CARD_FILE).write_text(json.dumps(card | {"name": "copy"}), "utf-8")
    networks = choose_networks(SlideConfig(nuclei="none", classifiers=("idc-hybrid", str(copy))), factor=1)
    assert set(needs_of(networks, cuda=False)) == {"idc-hybrid", "copy"}
