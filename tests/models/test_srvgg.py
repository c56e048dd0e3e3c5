"""The compact generator of Real-ESRGAN."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models.srvgg import Srvgg, SrvggConfig


def test_a_fresh_network_as_published_repeats_pixels() -> None:
    network, image = Srvgg(SrvggConfig(scale=4, convolutions=2, channels=8)), torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        torch.testing.assert_close(
            network(image), image.repeat_interleave(4, 2).repeat_interleave(4, 3), rtol=0, atol=0
        )


@pytest.mark.parametrize("scale", [2, 4])
def test_without_a_residual_it_starts_constant_on_each_input_pixel(scale: int) -> None:
    torch.manual_seed(0)
    output = Srvgg(SrvggConfig(scale=scale, convolutions=2, residual="none"))(torch.rand(1, 3, 9, 9))
    cells = output.unfold(2, scale, scale).unfold(3, scale, scale).flatten(4)
    assert output.std() > 1e-3
    torch.testing.assert_close(cells.amin(-1), cells.amax(-1))


def test_nothing_is_computed_at_the_outputs_resolution() -> None:
    network, sides = Srvgg(SrvggConfig(scale=4, convolutions=2, channels=8)), []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: sides.append(output.shape[-1]))
    network(torch.rand(1, 3, 6, 6))
    assert sides == [6] * 4


@pytest.mark.parametrize("wrong", [{"convolutions": 0}, {"residual": "linear"}])
def test_an_impossible_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SrvggConfig(**wrong)
