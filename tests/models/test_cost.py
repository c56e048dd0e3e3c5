"""Costs are those that the literature states."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from models.architectures import ARCHITECTURES, resolve
from models.cost import milliseconds, multiply_adds, product_seconds
from models.predict import Precision
from tests.models.examples import SMALL_SR, card, predictor


def network(option: str, **parameters: Any) -> nn.Module:
    name, all_parameters = resolve(option, parameters)
    return ARCHITECTURES[name].network(ARCHITECTURES[name].config(**all_parameters))


@pytest.mark.parametrize(
    ("option", "scale", "giga"),
    [
        ("srresnet16", 2, 23.6), ("srresnet16", 4, 9.09), ("srresnet8_003", 4, 6.67), ("edsr_ise", 4, 8.12),
        ("srvgg32", 4, 4.95),
    ],
)  # fmt: skip
def test_multiply_adds_for_a_large_tile_of_256_px(option: str, scale: int, giga: float) -> None:
    assert multiply_adds(network(option, scale=scale), 256 // scale) / 1e9 == pytest.approx(giga, rel=0.01)


def test_attention_counts() -> None:
    with_, without = (multiply_adds(network("wa_srgan", scale=2, attention=kind), 64) for kind in ("window", "off"))
    projections = 64 * 64 * (8 + 8 + 64) * 64  # a place to query, key, value
    # each place of a window to each: similarity (of 8 channels, padded to the 64 of the values), then mean of values
    products = 64 * 64 * 32 * 32 * (64 + 64)
    assert with_ - without == projections + products


def test_time_is_taken() -> None:
    assert milliseconds(predictor(card(SMALL_SR)), 16, repeats=2) > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_are_timed_as_often_as_asked(precision: Precision) -> None:
    took = product_seconds("cpu", precision, 32, 3)
    assert len(took) == 3
    assert min(took) > 0
