"""OpenVINO computes what torch computes, the same bytes on any number of threads, and keeps to itself."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.card import Card
from models.engine_openvino import OpenVinoEngine
from models.errors import BundleError
from models.predict import Precision, Predictor, load_predictor
from models.shelf import list_bundles
from tests.models.examples import SMALL_HYBRID, SMALL_UNET, Pixels, card, network, tissue
from tests.models.test_cores import a_process_of

pytest.importorskip("openvino")

CPU = torch.device("cpu")
each_classifier = pytest.mark.parametrize(
    ("bundle", "side"), [(one.name, one.field_px) for one in list_bundles() if one.field_px]
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def patches(count: int, side: int = 50) -> Pixels:
    image, random = tissue(512, 512), np.random.default_rng(0)
    corners = random.integers(0, 512 - side, (count, 2))
    return np.stack([image[y : y + side, x : x + side] for y, x in corners])


def small(precision: Precision = "fp32", engine: OpenVinoEngine | None = None, seed: int = 0) -> Predictor:
    of = card(SMALL_HYBRID)
    return Predictor(of, network(of, seed), CPU, precision, engine=engine)


@each_classifier
def test_shipped_classifiers_say_the_same_as_with_torch(bundle: str, side: int) -> None:
    seen = patches(20, side)
    wanted = load_predictor(bundle, "cpu", "fp32")(seen)
    assert wanted.std() > 0.05
    found = load_predictor(bundle, "cpu", "fp32", engine="openvino")
    np.testing.assert_allclose(found(seen), wanted, atol=1e-5)
    assert (found.engine, found.card.name) == ("openvino", bundle)


@each_classifier
def test_bf16_is_as_near_to_fp32_as_torchs(bundle: str, side: int) -> None:
    seen = patches(32, side)
    exact = load_predictor(bundle, "cpu", "fp32")(seen)
    torchs, found = (load_predictor(bundle, "cpu", "bf16", engine=engine)(seen) for engine in ("torch", "openvino"))
    assert np.abs(found - exact).max() <= 2 * np.abs(torchs - exact).max() + 0.01


def test_a_patch_has_the_same_bytes_whatever_comes_with_it() -> None:
    compute, seen = small("bf16", OpenVinoEngine()), patches(20)
    np.testing.assert_array_equal(compute(seen[3:4])[0], compute(seen)[3])


def test_threads_side_by_side_get_the_bytes_of_one_alone() -> None:
    with a_process_of(2):
        side_by_side, alone = small("bf16", OpenVinoEngine(side_by_side=True)), small("bf16", OpenVinoEngine())
    seen = patches(64)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(side_by_side, np.split(seen, 4)))
    np.testing.assert_array_equal(np.concatenate(found), alone(seen))


def test_an_answer_does_not_change_when_the_next_one_is_asked() -> None:
    compute, seen = small(engine=OpenVinoEngine()), patches(40)
    first = compute(seen[:4])
    copy = first.copy()
    compute(seen[20:])
    np.testing.assert_array_equal(first, copy)


def test_what_was_read_once_is_kept_and_read_again(tmp_path: Path) -> None:
    kept = OpenVinoEngine(tmp_path / "kept")
    wanted = small(engine=kept)(patches(4))
    (graph,) = (tmp_path / "kept").glob("*/network.xml")
    np.testing.assert_array_equal(small(engine=kept, seed=1)(patches(4)), wanted)  # other weights are not looked at
    graph.write_text("<net")
    other = small(engine=kept, seed=1)(patches(4))
    assert np.abs(other - wanted).max() > 1e-3  # spoilt: read from the network
    np.testing.assert_array_equal(small(engine=kept, seed=0)(patches(4)), other)  # and kept in its place


def test_weights_that_a_power_cut_spoilt_are_not_computed_with(tmp_path: Path) -> None:
    kept = OpenVinoEngine(tmp_path / "kept")
    wanted = small(engine=kept)(patches(4))
    (weights,) = (tmp_path / "kept").glob("*/network.bin")
    whole = weights.read_bytes()
    weights.unlink()  # the first network still sees the old file
    weights.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    np.testing.assert_array_equal(small(engine=kept)(patches(4)), wanted)


def test_the_same_weights_for_patches_of_another_size_are_another_graph(tmp_path: Path) -> None:
    kept, of = OpenVinoEngine(tmp_path / "kept"), card(SMALL_HYBRID)
    for side in (50, 64):
        larger = Predictor(replace(of, field_px=side), network(of), CPU, "fp32", engine=kept)
        assert larger(patches(2, side)).shape == (2, 2)


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    np.testing.assert_array_equal(
        small(engine=OpenVinoEngine(tmp_path / "file" / "kept"))(patches(2)), small(engine=OpenVinoEngine())(patches(2))
    )


def test_a_network_that_takes_any_size_is_refused() -> None:
    of = card(SMALL_UNET)
    with pytest.raises(BundleError, match=r"any size.*\nTake --engine torch"):
        Predictor(of, network(of), CPU, "fp32", engine=OpenVinoEngine())


class Undecided(nn.Module):
    """Goes one of two ways, by what it sees."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: Tensor) -> Tensor:
        output: Tensor = self.inner(image)
        return output if image.mean() > 0.5 else -output


def test_a_network_without_a_graph_is_refused_by_name() -> None:
    of: Card = card(SMALL_HYBRID)
    with pytest.raises(BundleError, match=r"small-hybrid: OpenVINO cannot compute.*\nTake --engine torch"):
        Predictor(of, Undecided(network(of)), CPU, "fp32", engine=OpenVinoEngine())


def test_nothing_is_told_to_anybody(tmp_path: Path, own_cache: Path) -> None:
    """OpenVINO's package keeps an identity of its user in ~/intel, and sends it with every import."""
    code = """
import socket
def refuse(*_):
    raise SystemExit("somebody was called")
socket.socket.connect = socket.getaddrinfo = refuse
from models.predict import load_predictor
load_predictor("idc-hybrid", "cpu", "fp32", engine="openvino")
"""
    environment: dict[str, Any] = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(own_cache)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()
