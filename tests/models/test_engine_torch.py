from __future__ import annotations

import os

import pytest

from models.predict import load_predictor

KEPT = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


def test_compiled_convolutions_are_kept_for_many_sizes_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEPT, raising=False)
    load_predictor("nuclei-unet-fast", "cpu", "fp32")
    assert os.environ[KEPT] == "4096"


def test_what_the_user_says_of_that_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEPT, "16")
    load_predictor("nuclei-unet-fast", "cpu", "fp32")
    assert os.environ[KEPT] == "16"
