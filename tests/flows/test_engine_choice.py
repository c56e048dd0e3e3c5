"""The faster engine is found by measuring once; who was slower, failed or is not there is not taken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.devices import engines
from flows.engine_choice import choose_engine, remembered_choices
from models.errors import DeviceError
from pipeline.config import SlideConfig
from pipeline.schedule import Workforce

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


class Trials:
    """A process that measures, replaced by one that says what it is told to, and how often it was started."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log = folder / "started"
        self._program = folder / "python"
        monkeypatch.setattr("flows.engine_choice.sys.executable", str(self._program))

    def say(self, text: str) -> None:
        self._program.write_text(f"#!/bin/sh\necho once more >> {self._log}\nprintf '{text}'\nkill -SEGV $$\n")
        self._program.chmod(0o755)

    def hang_after(self, text: str) -> None:
        self.say(text)
        self._program.write_text(self._program.read_text().replace("kill -SEGV $$", "exec sleep 60"))

    def __len__(self) -> int:
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0


@pytest.fixture
def trials(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Trials:
    return Trials(tmp_path_factory.mktemp("trials"), monkeypatch)


def test_a_classifier_is_measured_once_for_each_precision(own_cache: Path) -> None:
    chosen = choose_engine("idc-hybrid", "cpu", "fp32")
    (known,) = remembered_choices()
    assert (known["bundle"], known["precision"], known["engine"]) == ("idc-hybrid", "fp32", chosen)
    assert set(known["seconds"]) == {"torch", "openvino"}
    (kept,) = (own_cache / "histoloom" / "engines").iterdir()
    kept.write_text(json.dumps(known | {"seconds": {"torch": 1.0, "openvino": 2.0}}))
    assert choose_engine("idc-hybrid", "cpu", "fp32") == "torch"  # read, not measured again
    kept.write_text(json.dumps(known | {"seconds": {"torch": 2.0, "openvino": 1.0}}))
    assert choose_engine("idc-hybrid", "cpu", "fp32") == "openvino"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("torch 1.0\nopenvino 0.5\n", "openvino"),
        ("torch 1.0\nopenvino 0.97\n", "torch"),
        ("torch 1.0\n", "torch"),
        ("", "torch"),
        ("Segmentation fault\n", "torch"),
    ],
    ids=["faster", "as fast", "failed", "silent", "noise"],
)
def test_only_what_is_clearly_faster_takes_torchs_place(trials: Trials, said: str, wanted: str) -> None:
    trials.say(said)
    assert [choose_engine("idc-hybrid", "cpu", "bf16") for _ in range(2)] == [wanted, wanted]
    assert len(trials) == 1


def test_a_choice_that_cannot_be_read_is_made_again(trials: Trials, own_cache: Path) -> None:
    trials.say("torch 2\nopenvino 1\n")
    choose_engine("idc-hybrid", "cpu", "bf16")
    (kept,) = (own_cache / "histoloom" / "engines").iterdir()
    for spoilt in ("", "[]", '{"seconds": 3}', '{"seconds": {"torch": "soon"}}'):
        kept.write_text(spoilt)
        assert choose_engine("idc-hybrid", "cpu", "bf16") == "openvino"
    assert len(trials) == 5


def test_where_the_cache_cannot_be_written_a_process_measures_once(trials: Trials, own_cache: Path) -> None:
    (own_cache / "histoloom").write_text("no folder")
    trials.say("torch 2\nopenvino 1\n")
    assert choose_engine("idc-hybrid", "cpu", "bf16") == "openvino"
    trials.say("torch 1\nopenvino 2\n")  # the second slide of a cohort
    assert choose_engine("idc-hybrid", "cpu", "bf16") == "openvino"
    assert len(trials) == 1


def test_an_engine_that_hangs_is_slower_for_good(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.engine_choice._LONGEST_S", 1.0)
    trials.hang_after("torch 1.0\n")
    assert choose_engine("idc-hybrid", "cpu", "bf16") == "torch"
    assert [one["seconds"] for one in remembered_choices()] == [{"torch": 1.0}]


def test_a_trial_that_failed_as_a_whole_is_not_remembered_for_good(trials: Trials) -> None:
    trials.say("")
    assert choose_engine("idc-hybrid", "cpu", "bf16") == "torch"
    assert remembered_choices() == []


@pytest.mark.parametrize("first", ["torch", "openvino"])
def test_a_slide_goes_on_with_the_engine_that_it_was_begun_with(trials: Trials, first: str) -> None:
    trials.say("torch 2\nopenvino 1\n" if first == "torch" else "torch 1\nopenvino 2\n")
    begun = {"idc-hybrid": first}
    assert engines(SlideConfig(device="cpu"), Workforce(), begun)("idc-hybrid") == first
    assert not len(trials)
    other = "openvino" if first == "torch" else "torch"
    assert engines(SlideConfig(device="cpu"), Workforce(), {"another": first})("idc-hybrid") == other


@pytest.mark.parametrize(("bundle", "device"), [("sr-x2", "cpu"), ("nuclei-unet", "cpu"), ("idc-hybrid", "cuda:0")])
def test_dense_networks_and_gpus_are_torchs(trials: Trials, bundle: str, device: str) -> None:
    trials.say("torch 2\nopenvino 1\n")
    assert choose_engine(bundle, device, "fp32") == "torch"
    assert not len(trials)


def test_a_named_engine_is_taken_for_what_it_computes() -> None:
    named = engines(SlideConfig(device="cpu", engine="openvino"), Workforce())
    assert [named(bundle) for bundle in ("sr-x2", "nuclei-unet", "idc-hybrid")] == ["torch", "torch", "openvino"]


def test_a_named_engine_that_does_not_fit_the_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.devices.resolve_device", lambda *_: ("cuda:0", "bf16"))
    with pytest.raises(DeviceError, match="on CPUs"):
        engines(SlideConfig(engine="openvino"), Workforce())("idc-hybrid")


def test_workers_elsewhere_compute_with_torch_unless_told_otherwise(trials: Trials) -> None:
    trials.say("torch 2\nopenvino 1\n")
    away = Workforce(scheduler="tcp://far:8786")
    assert engines(SlideConfig(), away)("idc-hybrid") == "torch"
    assert engines(SlideConfig(engine="openvino"), away)("idc-hybrid") == "openvino"
    assert not len(trials)


def test_planning_with_a_remembered_choice_loads_neither_engine() -> None:
    choose_engine("idc-hybrid", "cpu", "bf16")
    code = "import sys; from flows.engine_choice import choose_engine; choose_engine('idc-hybrid', 'cpu', 'bf16')"
    code += "; raise SystemExit('torch' in sys.modules or 'openvino' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
