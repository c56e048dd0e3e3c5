"""Self-attention in all its forms, against the plain formula."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.local_attention import (
    AnchorAttention,
    Attention,
    GlobalAttention,
    SelfAttention,
    TileAttention,
    WindowAttention,
    build_attention,
)

MODES: tuple[Attention, ...] = ("window", "tile", "anchor", "global")
CHANNELS = 16

PEAK = """
import resource, torch
from models.local_attention import build_attention
torch.set_num_threads(1)

def attend(mode, side):
    attention = build_attention(mode, 64, window_px=32, anchor_side=64, fixed_anchors=False)
    with torch.inference_mode():
        attention(torch.randn(1, 64, side, side))

attend("window", 32)  # what is loaded once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for mode, side in {"window": 128, "tile": 128, "anchor": 128, "global": 96}.items():
    attend(mode, side)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def attention(mode: Attention, *, window_px: int = 8) -> SelfAttention:
    torch.manual_seed(0)
    built = build_attention(mode, CHANNELS, window_px=window_px, anchor_side=4, fixed_anchors=False).double()
    torch.nn.init.ones_(built.gamma)
    return built


def features_of(height: int, width: int, count: int = 1) -> Tensor:
    torch.manual_seed(1)
    return 2 * torch.randn(count, CHANNELS, height, width, dtype=torch.float64)


def naive(layer: SelfAttention, features: Tensor, seen: Tensor) -> Tensor:
    """The formula with its matrix, for one image: features (c, y, x) look at what is seen, (c, v, u)."""
    query, key, value = (
        (one.weight.flatten(1) @ part.flatten(1) + one.bias[:, None] if one.bias is not None else part)
        for one, part in ((layer.query, features), (layer.key, seen), (layer.value, seen))
    )
    weights = torch.softmax(query.T @ key, dim=1)
    return (value @ weights.T).reshape(features.shape)


@pytest.mark.parametrize("mode", MODES)
def test_it_begins_as_the_identity(mode: Attention) -> None:
    fresh = build_attention(mode, CHANNELS, window_px=8, anchor_side=4, fixed_anchors=False)
    features = torch.randn(2, CHANNELS, 13, 10)
    assert torch.equal(fresh(features), features)


def test_global_attention_is_the_formula() -> None:
    layer, features = attention("global"), features_of(7, 5, count=2)
    wanted = torch.stack([one + naive(layer, one, one) for one in features])
    torch.testing.assert_close(layer(features), wanted)


@pytest.mark.parametrize(("height", "width"), [(8, 16), (20, 13), (5, 3)])
def test_window_attention_is_the_formula_in_each_window(height: int, width: int) -> None:
    layer, features = attention("window"), features_of(height, width)
    wanted = features.clone()
    for y in range(0, height, 8):
        for x in range(0, width, 8):
            window = features[0, :, y : y + 8, x : x + 8]
            wanted[0, :, y : y + 8, x : x + 8] += naive(layer, window, window)
    torch.testing.assert_close(layer(features), wanted)


@pytest.mark.parametrize(("height", "width"), [(16, 12), (9, 21), (3, 5)])
def test_tile_attention_blends_four_windows_by_raised_cosines(height: int, width: int) -> None:
    layer, features = attention("tile"), features_of(height, width)
    wanted = features.clone()
    cosine = 0.5 - 0.5 * torch.cos(2 * torch.pi * (torch.arange(8, dtype=torch.float64) + 0.5) / 8)
    for y in range(-4, height, 4):
        for x in range(-4, width, 4):
            top, left = max(y, 0), max(x, 0)
            inside = (..., slice(top, y + 8), slice(left, x + 8))
            window = features[0][inside]
            weight = cosine[top - y :, None] * cosine[None, left - x :]
            wanted[0][inside] += naive(layer, window, window) * weight[: window.shape[1], : window.shape[2]]
    torch.testing.assert_close(layer(features), wanted)


@settings(max_examples=15)
@given(height=st.integers(1, 20), width=st.integers(1, 20), half_window_px=st.integers(1, 6))
def test_blending_weights_sum_to_1(height: int, width: int, half_window_px: int) -> None:
    layer, features = attention("tile", window_px=2 * half_window_px), features_of(height, width)
    torch.nn.init.zeros_(layer.value.weight)
    torch.nn.init.ones_(layer.value.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        torch.testing.assert_close(layer(features), features + 1)


def test_anchor_attention_is_the_formula_on_a_thumbnail() -> None:
    layer, features = attention("anchor"), features_of(12, 8)
    thumbnail = features[0].reshape(CHANNELS, 4, 3, 4, 2).mean((2, 4))
    torch.testing.assert_close(layer(features)[0], features[0] + naive(layer, features[0], thumbnail))


def test_an_image_smaller_than_the_thumbnail_is_its_own() -> None:
    layer, features = attention("anchor"), features_of(3, 2)
    torch.testing.assert_close(layer(features)[0], features[0] + naive(layer, features[0], features[0]))


def test_fixed_anchors_are_those_of_the_image_they_were_fixed_on() -> None:
    layer, features, others = attention("anchor"), features_of(12, 12), features_of(12, 12, count=3)[1:]
    assert isinstance(layer, AnchorAttention)
    with torch.no_grad():
        live = layer(features)
        layer.fix(features)
        torch.testing.assert_close(layer(features), live)
        torch.testing.assert_close(layer(others)[0], others[0] + naive(layer, others[0], layer.anchors))


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (4, 2, 2), (6, 2, 3), (5, 1, 5)])
def test_anchors_of_several_images_are_those_of_their_mosaic(count: int, rows: int, columns: int) -> None:
    layer, features = AnchorAttention(CHANNELS, 4), features_of(6, 4, count=count).float()
    layer.fix(features)
    mosaic = torch.cat([torch.cat(list(row), dim=2) for row in features.reshape(rows, columns, CHANNELS, 6, 4)], dim=1)
    torch.testing.assert_close(layer.anchors, torch.nn.functional.adaptive_avg_pool2d(mosaic, 4))


def test_strides_are_those_of_the_grids() -> None:
    assert GlobalAttention(8).stride_px == AnchorAttention(8, 4).stride_px == 1
    assert WindowAttention(8, 32).stride_px == 32
    assert TileAttention(8, 32).stride_px == 16


def test_the_matrix_of_all_pairs_is_never_formed() -> None:
    run = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 128  # MiB; in fp32, all pairs of 96 x 96 px are 324 MiB, 128 x 128 px to anchors are 256
