"""Passes take turns on a GPU: so many at once, one alone where it has to be, and nobody waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lanes import CpuPasses, CudaPasses, Lanes, cuda_passes, download
from models.predict import load_predictor
from tests.models.examples import tissue

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Watched:
    """Who is inside, and what was seen of it."""

    def __init__(self, count: int) -> None:
        self.lanes = Lanes(*range(count))
        self.inside: set[int] = set()
        self.most = 0
        self.crowded = False
        self._lock = threading.Lock()

    def pass_through(self, *, alone: bool) -> None:
        with self.lanes.alone() if alone else self.lanes.one() as lane:
            with self._lock:
                assert lane not in self.inside
                self.inside.add(lane)
                self.most = max(self.most, len(self.inside))
            threading.Event().wait(0.0005)
            with self._lock:
                self.crowded |= alone and len(self.inside) > 1
                self.inside.remove(lane)


@settings(max_examples=20, deadline=None)
@given(lanes=st.integers(1, 3), who=st.lists(st.booleans(), min_size=1, max_size=24))
def test_a_lane_is_one_threads_and_who_is_alone_is_alone(lanes: int, who: list[bool]) -> None:
    watched = Watched(lanes)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda alone: watched.pass_through(alone=alone), who, timeout=30))
    assert not watched.inside
    assert not watched.crowded
    assert watched.most <= lanes


def test_a_block_that_fails_gives_its_lane_back() -> None:
    lanes = Lanes("the only one")
    for way in (lanes.one, lanes.alone, lanes.one):
        with pytest.raises(KeyError), way():
            raise KeyError


def test_on_a_processor_bytes_stay_where_they_are() -> None:
    pixels, passes = tissue(8, 8), CpuPasses()
    with passes.one():
        there = passes.upload(pixels)
    assert np.shares_memory(download(there), pixels)


@on_a_gpu
def test_bytes_come_back_from_a_gpu_as_they_went() -> None:
    pixels, passes = tissue(64, 64), CudaPasses(torch.device("cuda:0"))
    for way in (passes.one, passes.alone):
        with way():
            np.testing.assert_array_equal(download(passes.upload(pixels)), pixels)


@on_a_gpu
def test_networks_that_follow_each_other_share_the_passes_of_their_gpu() -> None:
    device = torch.device("cuda:0")
    assert cuda_passes(device) is cuda_passes(torch.device("cuda", 0))


@on_a_gpu
@pytest.mark.parametrize("bundle", ["sr-x2", "nuclei-unet"])
def test_threads_get_the_same_bytes_from_a_gpu_as_one_alone(bundle: str) -> None:
    predict, image = load_predictor(bundle, "cuda:0"), tissue(512, 512)
    seen = [image[None, y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)] * 4
    wanted = [predict(tile) for tile in seen]
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(threads.map(predict, seen), wanted, strict=True):
            np.testing.assert_array_equal(one, other)
