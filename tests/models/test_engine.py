"""Engines by name, and what is said of one that cannot be had."""

from __future__ import annotations

import pytest

from models.engine import ENGINES, is_installed, require
from models.errors import DeviceError


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_installed_is_taken(engine: str) -> None:
    assert is_installed(require(engine, "cpu"))


def test_another_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(DeviceError, match=r"tensorrt: no such engine\n.*torch or openvino"):
        require("tensorrt", "cpu")


def test_openvino_computes_on_cpus_alone() -> None:
    with pytest.raises(DeviceError, match=r"on CPUs, not on cuda:0\n.*--engine auto"):
        require("openvino", "cuda:0")


def test_what_is_not_installed_is_refused_here_and_left_to_workers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.engine.find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=r"not installed\npip install 'histoloom\[openvino\]'"):
        require("openvino", "cpu")
    assert require("openvino", "auto", here=False) == "openvino"
